// Command flowdiagram writes the catalogue of flows as a diagram and a table.
//
//	flowdiagram              prints them
//	flowdiagram README.md    puts them between the file's markers
//
// The markers are <!-- flows:begin --> and <!-- flows:end -->, each on a line of
// its own. What is between them belongs to this command.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/triangle-suite/triangle/contracts/flows"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "flowdiagram:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	text := render(flows.Catalogue)
	switch len(args) {
	case 0:
		_, err := io.WriteString(out, text)
		return err
	case 1:
		return rewrite(args[0], text)
	default:
		return errors.New("usage: flowdiagram [file]")
	}
}

const (
	begin = "<!-- flows:begin -->\n"
	end   = "<!-- flows:end -->\n"
)

// rewrite puts text between the markers of a file. A file that has it already is
// left alone.
func rewrite(path, text string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	was, err := os.ReadFile(path) //nolint:gosec // the caller's own file
	if err != nil {
		return err
	}
	now, err := splice(was, text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if bytes.Equal(was, now) {
		return nil
	}
	return os.WriteFile(path, now, info.Mode().Perm())
}

// splice replaces what is between the markers.
func splice(document []byte, text string) ([]byte, error) {
	if bytes.Count(document, []byte(begin)) != 1 || bytes.Count(document, []byte(end)) != 1 {
		return nil, fmt.Errorf("the lines %q and %q must be there, once each", begin[:len(begin)-1], end[:len(end)-1])
	}
	before, rest, _ := bytes.Cut(document, []byte(begin))
	_, after, ok := bytes.Cut(rest, []byte(end))
	if !ok {
		return nil, errors.New("the markers are in the wrong order")
	}
	return fmt.Appendf(nil, "%s%s\n%s\n%s%s", before, begin, text, end, after), nil
}
