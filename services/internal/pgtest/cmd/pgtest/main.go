// Command pgtest starts a PostgreSQL for the tests of other modules, with the
// databases that its arguments name. It prints the URL of each, and ends when its
// standard input does. It prints nothing where PostgreSQL is not installed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/triangle-suite/triangle/services/internal/pgtest"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server, err := pgtest.Start(ctx)
	if err != nil || server == nil {
		return err
	}
	for _, name := range os.Args[1:] {
		if err := server.CreateDatabase(name); err != nil {
			return errors.Join(err, server.Close())
		}
		fmt.Println(server.URL(name))
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, server.Close())
}
