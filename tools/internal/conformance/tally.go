package conformance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// outcome is how a case ended.
type outcome string

const (
	passed  outcome = "pass"
	failed  outcome = "fail"
	skipped outcome = "skip" // by the suite itself
)

// result is a case and how it ended.
type result struct {
	name    string
	outcome outcome
	output  string // what it said, or why it counts as failed
}

// testEvent is a line of go test -json.
type testEvent struct {
	Action, Test, Output string
}

// tally reads the lines of go test -json and returns how each case ended. Groups
// of cases are none, unless they failed by themselves. A case of wanted that did
// not end, because its process did or because it was never reached, has failed.
func tally(from io.Reader, wanted []string) ([]result, error) {
	ended, output := map[string]outcome{}, map[string]*strings.Builder{}
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e testEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("what the suite said: %w: %s", err, bytes.TrimSpace(lines.Bytes()))
		}
		switch e.Action {
		case "pass", "fail", "skip":
			if ended[e.Test] != failed { // several processes end with a line about no test
				ended[e.Test] = outcome(e.Action)
			}
		case "output":
			if output[e.Test] == nil {
				output[e.Test] = new(strings.Builder)
			}
			output[e.Test].WriteString(e.Output)
		case "run":
			if _, ok := ended[e.Test]; !ok {
				ended[e.Test] = ""
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("what the suite said: %w", err)
	}
	said := func(name string) string {
		if output[name] == nil {
			return ""
		}
		return output[name].String()
	}
	return judge(ended, said, wanted), nil
}

func judge(ended map[string]outcome, said func(string) string, wanted []string) []result {
	var results []result
	for _, name := range slices.Sorted(maps.Keys(ended)) {
		if name == "" || isGroup(name, ended) && !failedItself(name, ended) {
			continue
		}
		r := result{name: name, outcome: ended[name], output: said(name)}
		if r.outcome == "" {
			r.outcome, r.output = failed, "it did not end\n"+r.output
		}
		results = append(results, r)
	}
	if ended[""] == failed && !slices.ContainsFunc(results, func(r result) bool { return r.outcome == failed }) {
		results = append(results, result{name: "(the process)", outcome: failed, output: said("")})
	}
	for _, name := range wanted {
		if _, ok := ended[name]; !ok && !endedAbove(name, ended) {
			results = append(results, result{name: name, outcome: failed, output: "it was not reached\n"})
		}
	}
	return results
}

func isGroup(name string, ended map[string]outcome) bool {
	for other := range ended {
		if strings.HasPrefix(other, name+"/") {
			return true
		}
	}
	return false
}

// failedItself tells whether a group failed though none of its cases did.
func failedItself(name string, ended map[string]outcome) bool {
	if ended[name] != failed {
		return false
	}
	for other, how := range ended {
		if strings.HasPrefix(other, name+"/") && how != passed && how != skipped {
			return false
		}
	}
	return true
}

// endedAbove tells whether the group of a case was skipped as a whole.
func endedAbove(name string, ended map[string]outcome) bool {
	for i := range len(name) {
		if name[i] == '/' && ended[name[:i]] == skipped {
			return true
		}
	}
	return false
}
