package scenario

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/triangle-suite/triangle/tools/internal/suite"
)

// NextRun gives a play its number on the data of a folder: 1, 2 and so on. A
// number is taken even when its play does not come to its end.
func NextRun(layout suite.Layout) (int, error) {
	text, err := os.ReadFile(layout.Runs())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("number of the last run: %w", err)
	}
	last := 0
	if err == nil {
		if last, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil || last < 0 {
			return 0, fmt.Errorf("%s does not hold the number of the last run, but %q: write the number into it", layout.Runs(), text)
		}
	}
	next := strconv.Itoa(last+1) + "\n"
	if err := os.WriteFile(layout.Runs()+".next", []byte(next), 0o600); err != nil {
		return 0, fmt.Errorf("number of the run: %w", err)
	}
	return last + 1, os.Rename(layout.Runs()+".next", layout.Runs())
}
