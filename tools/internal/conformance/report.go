package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// What is shown of a failed case's output: its last lines, not too wide.
const (
	outputLines = 12
	lineWidth   = 240
)

// report is what a run has found, in text.
type report struct {
	text                             strings.Builder
	passed, failed, skipped, leftOut int
}

func (r *report) failures() int { return r.failed }

// addMode adds the cases of one mode.
func (r *report) addMode(name string, results []result, took time.Duration) {
	count := map[outcome]int{}
	for _, one := range results {
		count[one.outcome]++
	}
	fmt.Fprintf(&r.text, "\n%s: %d passed, %d failed, %d skipped by the suite (%s)\n",
		name, count[passed], count[failed], count[skipped], took.Round(100*time.Millisecond))
	for _, one := range results {
		fmt.Fprintf(&r.text, "  %-4s  %s\n", one.outcome, one.name)
		if one.outcome == failed {
			r.text.WriteString(indent(lastLines(one.output, outputLines)))
		}
	}
	r.passed += count[passed]
	r.failed += count[failed]
	r.skipped += count[skipped]
}

// addExclusion adds cases that are not run, with the reason.
func (r *report) addExclusion(e exclusion, cases []string) {
	fmt.Fprintf(&r.text, "\nleft out: %d cases of %s: %s\n", len(cases), e.function, e.reason)
	for _, name := range cases {
		fmt.Fprintf(&r.text, "  out   %s\n", name)
	}
	r.leftOut += len(cases)
}

// String ends with the line that scripts read.
func (r *report) String() string {
	return fmt.Sprintf("%s\nconformance: passed=%d failed=%d skipped=%d left-out=%d\n", r.text.String(), r.passed, r.failed, r.skipped, r.leftOut)
}

func lastLines(text string, most int) []string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.TrimSpace(line) == "" })
	return lines[max(0, len(lines)-most):]
}

func indent(lines []string) string {
	var text strings.Builder
	for _, line := range lines {
		if len(line) > lineWidth {
			line = line[:lineWidth] + " ..."
		}
		fmt.Fprintf(&text, "          %s\n", line)
	}
	return text.String()
}
