package scenarios

import (
	"strings"
	"testing"
)

// Each stage writes its own column, and leaves the other one as it is.
func TestTheTableKeepsTheColumnOfTheOtherStage(t *testing.T) {
	texts := []Text{
		{Path: "x/ch-1-channels.txt", IDs: []string{"CH-1", "MA-1"}, Title: "Channels"},
		{Path: "x/sa-1-requests.txt", IDs: []string{"SA-1"}, Title: "Requests"},
	}
	first := table(texts, columns("", Simulation, Results{"ch-1-channels": Passed, "sa-1-requests": Failed}))
	both := table(texts, columns(first, Processes, Results{"ch-1-channels": Passed, "sa-1-requests": Result(false, "days pass")}))
	for _, want := range []string{
		"[Channels](scenarios/ch-1-channels.txt) | passed | passed |",
		"[Requests](scenarios/sa-1-requests.txt) | not run: days pass | failed |",
	} {
		if !strings.Contains(both, want) {
			t.Errorf("the table does not hold %q:\n%s", want, both)
		}
	}
	if again := table(texts, columns(both, Simulation, Results{"ch-1-channels": Passed, "sa-1-requests": Failed})); again != both {
		t.Errorf("the same results change the table:\n%s", again)
	}
	if n := strings.Count(both, "\n| "); n != 6 { // the head, a line for each capability of each text, and for each of the two tests
		t.Errorf("the table has %d lines:\n%s", n, both)
	}
}

func TestAHeaderSaysWhatATextShows(t *testing.T) {
	tests := map[string]struct {
		header string
		want   Text
		wrong  string
	}{
		"all of it": {
			header: "# CH-3, SA-1: A title\n#\n# What it\n# shows.\n#\n# Only in simulation: days pass.\n# Without faults: it is tender.\n\nvisitor anna leaves\n",
			want:   Text{Title: "A title", Shows: "What it shows.", Only: Simulation, Why: "days pass", Fair: "it is tender"},
		},
		"no capability":   {header: "# A title\n#\n# What it shows.\n", wrong: "is not as"},
		"an unknown one":  {header: "# CH-99: A title\n#\n# What it shows.\n", wrong: "CH-99 is no capability"},
		"nothing at all":  {header: "visitor anna leaves\n", wrong: "must say"},
		"nothing to show": {header: "# CH-3: A title\n", wrong: "must say"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got Text
			err := got.parse([]byte(tc.header))
			if tc.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wrong) {
					t.Fatalf("got %v, want an error with %q", err, tc.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Title != tc.want.Title || got.Shows != tc.want.Shows || got.Only != tc.want.Only || got.Why != tc.want.Why || got.Fair != tc.want.Fair || got.Alone != tc.want.Alone {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			if got.NotOn(Processes) != "days pass" || got.NotOn(Simulation) != "" {
				t.Errorf("it is not to be played on processes as %q, and in simulation as %q", got.NotOn(Processes), got.NotOn(Simulation))
			}
		})
	}
}

func TestIDsAreToldByName(t *testing.T) {
	n := newNames("ch-3")
	email := n.email("anna@example.org")
	n.id("quote", "id-of-a-quote")
	n.id("quote", "id-of-another")
	got := n.plain(n.own("box-set") + " " + email + " id-of-another id-of-a-quote")
	if want := "box-set anna@example.org quote-2 quote-1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if other := newNames("ch-4").email("anna@example.org"); other == email {
		t.Errorf("two texts share the address %s", email)
	}
}
