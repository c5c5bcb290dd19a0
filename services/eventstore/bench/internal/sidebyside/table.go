package sidebyside

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Write writes the result as tables for a reader.
func (r Result) Write(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "\n%s, %s\n\n", r.Name, r.Unit)
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  contender\tmedian\tquartiles\tidle\tdurable when it answers")
	for _, c := range r.Contenders {
		if c.Absent != "" {
			fmt.Fprintf(table, "  %s\t%s\t\t\t%s\n", c.Name, c.Absent, c.Sync)
			continue
		}
		fmt.Fprintf(table, "  %s\t%s\t%s – %s\t%.0f%%\t%s\n", c.Name, figure(c.Quartiles.Median),
			figure(c.Quartiles.Q1), figure(c.Quartiles.Q3), 100*c.Idle, c.Sync)
	}
	fmt.Fprintln(table, "\t\t\t\t\n  ratio\tmedian\tquartiles\tgoal\t")
	for _, ratio := range r.Ratios {
		if ratio.Absent != "" {
			fmt.Fprintf(table, "  %s\t%s\t\t%s\t\n", ratio.name(), ratio.Absent, ratio.Goal)
			continue
		}
		fmt.Fprintf(table, "  %s\t%s\t%s – %s\t%s\t%s\n", ratio.name(), times(ratio.Quartiles.Median),
			times(ratio.Quartiles.Q1), times(ratio.Quartiles.Q3), ratio.Goal, ratio.Verdict)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return fmt.Errorf("write the table: %w", err)
		}
	}
	return nil
}

// name is what a ratio is of.
func (r Ratio) name() string {
	if r.To == "" {
		return r.Of
	}
	return r.Of + " / " + r.To
}

// figure writes a number with as many digits as it is worth.
func figure(value float64) string {
	if value < 1000 {
		return fmt.Sprintf("%.3g", value)
	}
	digits := fmt.Sprintf("%.0f", value)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// times writes a ratio such that one that misses its goal by little can be
// told from it.
func times(ratio float64) string {
	switch {
	case ratio < 1:
		return fmt.Sprintf("%.3f", ratio)
	case ratio < 10:
		return fmt.Sprintf("%.2f", ratio)
	default:
		return fmt.Sprintf("%.1f", ratio)
	}
}
