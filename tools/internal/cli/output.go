package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/triangle-suite/triangle/tools/internal/scenario"
)

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// progress draws a bar where a terminal looks.
func (s *session) progress(what string, total int) (one, end func()) {
	return s.progressOf(what, "rows", total)
}

// progressOf is progress for other things than rows; a total of -1 is not known.
func (s *session) progressOf(what, things string, total int) (one, end func()) {
	if !s.Looks {
		return func() {}, func() {}
	}
	bar := progressbar.NewOptions(total,
		progressbar.OptionSetWriter(s.Err),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetItsString(things),
		progressbar.OptionShowIts(),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
	// A bar that can't be drawn is no reason to end the work.
	return func() { _ = bar.Add(1) }, func() { _ = bar.Finish() }
}

// tell prints a step of the story, when it has ended; where a terminal looks,
// also that it has begun.
func (s *session) tell(step scenario.Step) {
	if s.commands.JSON {
		return
	}
	if !step.Ended {
		fmt.Fprintf(s.Out, "\n%2d. %s  [%s]\n", step.Number, step.Title, step.ID)
		return
	}
	for _, k := range step.Knew {
		fmt.Fprintf(s.Out, "      %-15s %s\n", k.Party+" knew:", wrap(k.Text, 23, 110))
	}
	mark := "ok"
	if !step.OK {
		mark = "FAILED"
	}
	fmt.Fprintf(s.Out, "    %s: %s (%.1f s)\n", mark, wrap(step.Detail, 6, 110), step.Seconds)
}

// wrap breaks a text between words, and indents what follows the first line.
func wrap(text string, indent, width int) string {
	var b strings.Builder
	column := indent
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case column+1+len(word) > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
