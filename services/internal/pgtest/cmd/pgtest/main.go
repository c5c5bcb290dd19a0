// Command pgtest starts a PostgreSQL for the tests of other modules, with the
// databases that its arguments name. It prints the URL of each, and ends when its
// standard input does. It prints nothing where PostgreSQL is not installed.
//
//	pgtest one another
//	pgtest -listen 10.0.0.1 -from 10.0.0.0/8 one   on a network, with a password
package main

import (
	"context"
	"errors"
	"flag"
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
	listen := flag.String("listen", "", "also at this address")
	from := flag.String("from", "", "for callers from this range")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	start, url := pgtest.Start, (*pgtest.Server).URL
	if *listen != "" {
		start = func(ctx context.Context) (*pgtest.Server, error) { return pgtest.StartOn(ctx, *listen, *from) }
		url = (*pgtest.Server).NetworkURL
	}
	server, err := start(ctx)
	if err != nil || server == nil {
		return err
	}
	for _, name := range flag.Args() {
		if err := server.CreateDatabase(name); err != nil {
			return errors.Join(err, server.Close())
		}
		fmt.Println(url(server, name))
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, server.Close())
}
