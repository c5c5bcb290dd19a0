package simulation

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// Table writes how often each fault was hit at each await point. A dot stands
// where a fault can't be.
func (h *Hits) Table() string {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "hits\t")
	for p := range points {
		fmt.Fprintf(table, "%s\t", p)
	}
	fmt.Fprintln(table)
	for f := None + 1; f < faults; f++ {
		fmt.Fprintf(table, "%s\t", f)
		for p := range points {
			if meaningless(f, p) != "" {
				fmt.Fprint(table, "·\t")
			} else {
				fmt.Fprintf(table, "%d\t", h[f][p])
			}
		}
		fmt.Fprintln(table)
	}
	_ = table.Flush() // it is written to memory
	return text.String()
}

// Missed names what was never hit, and can be.
func (h *Hits) Missed() (missed []string) {
	for f := None + 1; f < faults; f++ {
		for p := range points {
			if meaningless(f, p) == "" && h[f][p] == 0 {
				missed = append(missed, fmt.Sprintf("%s at %s", f, p))
			}
		}
	}
	return missed
}
