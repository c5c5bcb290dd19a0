package process

import (
	"regexp"
	"slices"
	"testing"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
)

// SA-1, SA-2: the processes are whole: each begins, ends, and can be gone through
// by those who move it.
func TestProcessesAreWhole(t *testing.T) {
	word := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	names := map[string]bool{}
	for _, p := range All {
		if names[p.Name] || !word.MatchString(p.Name) {
			t.Errorf("the process %q has no name of its own", p.Name)
		}
		names[p.Name] = true
		if last := p.Steps[len(p.Steps)-1]; !last.Ends || p.Steps[0].Ends {
			t.Errorf("%s begins with %s and goes on after %s", p.Name, p.Steps[0].Name, last.Name)
		}
		for i, s := range p.Steps {
			if p.Place(s.Name) != i || !word.MatchString(s.Name) || len(s.MovedBy) == 0 {
				t.Errorf("%s: the step %q has no name of its own, or nobody moves to it", p.Name, s.Name)
			}
		}
		if found, ok := Find(p.Name); !ok || found.Name != p.Name {
			t.Errorf("%s is not found", p.Name)
		}
	}
}

// Every kind of request has a process, by which a request gets from each status to
// each later one, and never back.
func TestEachKindOfRequestHasAProcess(t *testing.T) {
	for number, name := range journeyv1.RequestKind_name {
		if number == 0 {
			continue
		}
		p := Of(journeyv1.RequestKind(number))
		if got := []string{p.At(open, 1), p.At(inProgress, 1), p.At(inProgress, 2), p.At(done, 1)}; !slices.Equal(got, []string{
			p.Steps[0].Name, p.Steps[1].Name, p.Steps[2].Name, p.Steps[3].Name,
		}) {
			t.Errorf("%s: the statuses are the steps %q", name, got)
		}
		at := ""
		for _, move := range []struct {
			to journeyv1.RequestStatus
			by Mover
		}{{open, Channel}, {inProgress, Channel}, {inProgress, BackOffice}, {done, Employee}} {
			s, moves := p.Move(at, move.to, move.by)
			if !moves {
				t.Fatalf("%s: the %s does not move it on from %q", name, move.by, at)
			}
			if _, again := p.Move(s.Name, move.to, move.by); again {
				t.Errorf("%s: the %s moves it from %s on to the same status", name, move.by, s.Name)
			}
			at = s.Name
		}
		if _, moves := p.Move(p.Steps[0].Name, inProgress, Customer); moves {
			t.Errorf("%s: anybody moves it", name)
		}
		if _, back := p.Move(at, inProgress, BackOffice); back {
			t.Errorf("%s: it goes back", name)
		}
	}
}

func TestRank(t *testing.T) {
	for _, tc := range []struct{ n, percent, want uint64 }{
		{1, 50, 1}, {1, 90, 1}, {2, 50, 1}, {3, 50, 2}, {10, 50, 5}, {10, 90, 9}, {11, 90, 10}, {70, 90, 63}, {100, 90, 90}, {101, 90, 91},
	} {
		if got := rank(tc.n, tc.percent); got != tc.want {
			t.Errorf("of %d values the %d %% quantile is the one at %d, want %d", tc.n, tc.percent, got, tc.want)
		}
	}
}
