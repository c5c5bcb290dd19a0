package conformance

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTally(t *testing.T) {
	cases := map[string]struct {
		printed string // "action test [output]", a line each
		wanted  []string
		want    []string // "outcome name: output"
	}{
		"groups are no cases": {
			"run T|run T/a|run T/a/x|pass T/a/x|pass T/a|pass T|pass",
			[]string{"T/a/x"},
			[]string{"pass T/a/x: "},
		},
		"a test without cases is one": {
			"run T|skip T|pass",
			[]string{"T"},
			[]string{"skip T: "},
		},
		"a failed case fails its groups, which are not counted": {
			"run T|run T/a|output T/a why|fail T/a|run T/b|pass T/b|fail T|fail",
			[]string{"T/a", "T/b"},
			[]string{"fail T/a: why", "pass T/b: "},
		},
		"a group that fails by itself is": {
			"run T|run T/a|pass T/a|output T why|fail T|fail",
			[]string{"T/a"},
			[]string{"fail T: why", "pass T/a: "},
		},
		"a test that does not get to its cases": {
			"run T|output T why|fail T|fail",
			[]string{"T/a", "T/b"},
			[]string{"fail T: why", "fail T/a: it was not reached", "fail T/b: it was not reached"},
		},
		"a process that ends in the middle": {
			"run T|run T/a|pass T/a|run T/b|output T/b panic|fail",
			[]string{"T/a", "T/b", "T/c"},
			[]string{"pass T/a: ", "fail T/b: it did not end panic", "fail T/c: it was not reached"},
		},
		"a process that fails after its tests": {
			"run T|pass T|output  race|fail",
			[]string{"T"},
			[]string{"pass T: ", "fail (the process): race"},
		},
		"one of several processes failed": {
			"output  race|fail|run U|pass U|pass",
			[]string{"U"},
			[]string{"pass U: ", "fail (the process): race"},
		},
		"a group that the suite skips": {
			"run T|run T/g|skip T/g|pass T|pass",
			[]string{"T/g/a", "T/g/b"},
			[]string{"skip T/g: "},
		},
		"nothing at all": {
			"", []string{"T"}, []string{"fail T: it was not reached"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var lines strings.Builder
			for line := range strings.SplitSeq(tc.printed, "|") {
				parts := append(strings.SplitN(line, " ", 3), "", "")
				if line != "" {
					lines.WriteString(`{"Action":"` + parts[0] + `","Test":"` + parts[1] + `","Output":"` + parts[2] + `"}` + "\n")
				}
			}
			results, err := tally(strings.NewReader(lines.String()), tc.wanted)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range results {
				got = append(got, string(r.outcome)+" "+r.name+": "+strings.ReplaceAll(strings.TrimSuffix(r.output, "\n"), "\n", " "))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, err := tally(strings.NewReader("no JSON\n"), nil); err == nil {
		t.Error("what is no JSON was taken for a result")
	}
}

func TestReport(t *testing.T) {
	r := new(report)
	r.addMode("insecure", []result{
		{"T/a", passed, "long ago"},
		{"T/b", failed, "first line\n\n" + strings.Repeat("two\n", outputLines) + strings.Repeat("x", 2*lineWidth) + "\n"},
		{"T/c", skipped, ""},
	}, 0)
	r.addMode("secure", []result{{"T/a", passed, ""}}, 0)
	r.addExclusion(exclusion{"P", "P", "there are none"}, []string{"P/a", "P/b"})
	text := r.String()
	for _, want := range []string{
		"insecure: 1 passed, 1 failed, 1 skipped by the suite", "secure: 1 passed, 0 failed",
		"pass  T/a", "fail  T/b", "skip  T/c", "left out: 2 cases of P: there are none", "out   P/b", "x ...\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "first line") || strings.Contains(text, "long ago") {
		t.Errorf("the report shows more than the end of a failure:\n%s", text)
	}
	if !strings.HasSuffix(text, "\nconformance: passed=2 failed=1 skipped=1 left-out=2\n") || r.failures() != 1 {
		t.Errorf("the report ends wrongly:\n%s", text)
	}
}
