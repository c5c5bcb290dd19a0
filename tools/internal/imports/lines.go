package imports

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode/utf8"
)

// maxLine bounds one line of a file: what is longer is no row of ours.
const maxLine = 1 << 20

// line is one line of a file that holds a row.
type line struct {
	number int // from 1, as editors count
	text   string
}

var byteOrderMark = []byte("\ufeff")

// lines yields the lines of r that are not blank, without their ends. It ends
// after an error.
func lines(r io.Reader) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		scanner := bufio.NewScanner(r)
		scanner.Buffer(make([]byte, 0, 64<<10), maxLine)
		number := 0
		for scanner.Scan() {
			number++
			text := bytes.TrimPrefix(scanner.Bytes(), byteOrderMark)
			if len(bytes.TrimSpace(text)) == 0 {
				continue
			}
			if !yield(line{number: number, text: string(text)}, nil) {
				return
			}
		}
		if err := scanner.Err(); err != nil {
			yield(line{}, fmt.Errorf("read line %d: %w", number+1, err))
		}
	}
}

// CountLines counts the lines of r that may hold a row.
func CountLines(r io.Reader) (int, error) {
	count := 0
	for _, err := range lines(r) {
		if err != nil {
			return count, err
		}
		count++
	}
	return count, nil
}

var errNotText = errors.New("is not UTF-8 text")

func (l line) check() error {
	if !utf8.ValidString(l.text) {
		return errNotText
	}
	return nil
}
