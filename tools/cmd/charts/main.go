// Command charts writes into the charts what they hold of other sources: see package
// tools/internal/charts.
//
//	charts FOLDER
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/triangle-suite/triangle/tools/internal/charts"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "charts:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: charts FOLDER")
	}
	made, err := charts.Generate(args[0])
	if err != nil {
		return err
	}
	stale, err := charts.Stale(args[0], made)
	if err != nil {
		return err
	}
	for _, name := range stale {
		if err := write(filepath.Join(args[0], name), made[name]); err != nil {
			return err
		}
	}
	return nil
}

// write writes a file, or takes it away when there is nothing to write.
func write(file string, text []byte) error {
	if text == nil {
		return os.Remove(file)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // sources are for everybody
		return err
	}
	return os.WriteFile(file, text, 0o644) //nolint:gosec // sources are for everybody
}
