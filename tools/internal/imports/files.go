package imports

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Files keeps what does not go in, in two files that are made when there is
// something to put in them. What an earlier import left under the same names is
// replaced: it is told again. The files hold personal data, so that only their
// owner may read them.
type Files struct {
	Rejects    string // CSV: line, reason, row
	Duplicates string // the rows as they stand in the file, behind its first line; empty: they are only counted

	rejects, duplicates file
}

var _ Sink = (*Files)(nil)

// Reject implements Sink.
func (f *Files) Reject(r Reject) error {
	if err := f.rejects.open(f.Rejects, "line,reason,row\n"); err != nil {
		return err
	}
	w := csv.NewWriter(f.rejects.w)
	if err := w.Write([]string{strconv.Itoa(r.Line), r.Reason, r.Row}); err != nil {
		return fmt.Errorf("write %s: %w", f.Rejects, err)
	}
	w.Flush()
	return w.Error()
}

// Keep implements Sink.
func (f *Files) Keep(row string) error {
	if f.Duplicates == "" {
		return nil
	}
	if err := f.duplicates.open(f.Duplicates, strings.Join(personColumns, ", ")+"\n"); err != nil {
		return err
	}
	_, err := f.duplicates.w.WriteString(row + "\n")
	return err
}

// Close finishes the files, and removes those of an earlier import to which this
// one had nothing to say.
func (f *Files) Close() error {
	return errors.Join(f.rejects.close(f.Rejects), f.duplicates.close(f.Duplicates))
}

type file struct {
	f *os.File
	w *bufio.Writer
}

func (f *file) open(path, header string) error {
	if f.f != nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	opened, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	f.f, f.w = opened, bufio.NewWriter(opened)
	_, err = f.w.WriteString(header)
	return err
}

func (f *file) close(path string) error {
	if f.f != nil {
		return errors.Join(f.w.Flush(), f.f.Close())
	}
	if path == "" {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
