package audit_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow/audit"
)

func at(n int) eventlog.Position {
	return eventlog.Position{Commit: uint64(n), Prepare: uint64(n)}
}

// A flow with types a and b, of which b is delivered after 50, and no more after
// 80.
var versions = []audit.Version{
	{Number: 1, Types: []string{"a"}},
	{Number: 2, Begins: at(50), Types: []string{"a", "b"}},
	{Number: 3, Begins: at(80), Types: []string{"a"}},
}

func TestAnEventCountsToItsVersion(t *testing.T) {
	l := audit.NewLedger(audit.Range{To: at(99)}, versions, nil, nil)
	for i := 1; i < 100; i++ {
		l.Add(audit.Event{ID: uuid.New(), Type: []string{"a", "b", "c"}[i%3], Key: "k", Position: at(i)})
	}
	type counts struct{ produced, delivered, filtered uint64 }
	var got []counts
	for _, line := range l.Lines {
		got = append(got, counts{line.Produced, line.Delivered(), line.Filtered})
	}
	// Until 50 there are 16 of a, and 17 of b that come too early; until 80 there
	// are 10 of each; then 7 of a, while those of b are nobody's.
	want := []counts{{16, 16, 0}, {37, 20, 17}, {7, 7, 0}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(counts{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// However events are parked, skipped, and lost on the way: what is counted adds
// up, and closes just when nothing is lost.
func TestALedgerAddsUp(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 4))
		scope := audit.Range{From: at(10 + random.IntN(20)), To: at(60 + random.IntN(40))}
		epochs := []audit.Epoch{{Number: 1, Until: at(40), Ended: true}, {Number: 2, After: at(40), Until: at(99)}}
		aside := map[uuid.UUID]audit.Aside{}
		var all []audit.Event
		lost := map[uuid.UUID]bool{}
		for i := 1; i < 100; i++ {
			e := audit.Event{ID: uuid.NewSHA1(uuid.Nil, fmt.Append(nil, i)), Type: "a", Key: fmt.Sprint(random.IntN(30)), Position: at(i)}
			all = append(all, e)
			switch random.IntN(10) {
			case 0:
				aside[e.ID] = audit.Parked
			case 1:
				aside[e.ID] = audit.Skipped
			case 2:
				lost[e.ID] = seed%2 == 0
			}
		}
		l := audit.NewLedger(scope, versions[:1], epochs, aside)
		var want audit.Line
		for _, e := range all {
			l.Add(e)
			if e.Position.Compare(scope.From) < 0 || e.Position.Compare(scope.To) > 0 {
				continue
			}
			want.Produced++
			switch {
			case lost[e.ID]:
				want.Missing++
			case aside[e.ID] == audit.Parked:
				want.Parked++
			case aside[e.ID] == audit.Skipped:
				want.Filtered++
			}
		}
		var differ []*audit.Suspect
		for i, a := range l.Accounts() {
			rows := a.Compare()
			for key, c := range kept(all, epochs[i], lost) {
				rows.Add(key, c)
			}
			rows.End()
			differ = append(differ, rows.Differ...)
		}
		suspects := l.Look(differ)
		for _, e := range all {
			suspects.Add(e)
		}
		suspects.Faults()
		got := l.Lines[0]
		if sum := got.Missing + got.Unexplained; sum < want.Missing || got.Produced != want.Produced || seed%2 == 1 && (got.Parked != want.Parked || got.Filtered != want.Filtered) {
			t.Errorf("seed %d: got %+v, want %+v", seed, got, want)
		}
		if got.Closes() != (want.Missing == 0) {
			t.Errorf("seed %d: closes: %v, with %d missing", seed, got.Closes(), want.Missing)
		}
	}
}

// kept are the chains of a consumer that has lost some events.
func kept(all []audit.Event, epoch audit.Epoch, lost map[uuid.UUID]bool) map[string]audit.Chain {
	chains := map[string]audit.Chain{}
	for _, e := range all {
		if !lost[e.ID] && epoch.After.Compare(e.Position) < 0 && e.Position.Compare(epoch.Until) <= 0 {
			chains[e.Key] = chains[e.Key].Next(e.ID)
		}
	}
	return chains
}

func TestEpochsFollowFromTheMarkers(t *testing.T) {
	got := audit.Epochs([]audit.Marker{{2, at(10)}, {2, at(12)}, {3, at(20)}, {1, at(25)}})
	want := []audit.Epoch{
		{Number: 1, Until: at(10), Ended: true}, {Number: 2, After: at(10), Until: at(20), Ended: true}, {Number: 3, After: at(20), Until: audit.End},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestAScopeIsWhatWasAskedFor(t *testing.T) {
	steering := &audit.Steering{Epochs: audit.Epochs([]audit.Marker{{2, at(10)}, {3, at(20)}})}
	place := func(n int) *flowv1.Position { return &flowv1.Position{Commit: uint64(n), Prepare: uint64(n)} }
	type scope struct {
		From, To     eventlog.Position
		Epochs, Kept int
	}
	for what, tc := range map[string]struct {
		asked *flowv1.AuditRequested
		at    int
		want  scope
	}{
		"the present epoch":                {&flowv1.AuditRequested{}, 25, scope{at(20), at(25), 1, 1}},
		"the present epoch, at its marker": {&flowv1.AuditRequested{}, 20, scope{at(20), at(20), 1, 1}},
		"an epoch that has ended":          {&flowv1.AuditRequested{Epoch: 2}, 25, scope{at(10), at(20), 1, 1}},
		"one whose chains are gone":        {&flowv1.AuditRequested{Epoch: 1}, 25, scope{at(0), at(10), 1, 0}},
		"everything":                       {&flowv1.AuditRequested{From: place(0)}, 25, scope{at(0), at(25), 3, 2}},
		"a range":                          {&flowv1.AuditRequested{From: place(12), To: place(14)}, 15, scope{at(12), at(14), 1, 1}},
	} {
		s, err := steering.Scope(tc.asked, at(tc.at))
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		got := scope{s.From, s.To, len(s.Epochs), len(s.Kept)}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", what, diff)
		}
	}
}
