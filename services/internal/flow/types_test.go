package flow_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/contract"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// The older build takes in what the catalogue says, the newer one a further type,
// which is sales' own in the catalogue.
const (
	status = "sales.RequestStatusChanged"
	opened = "sales.RequestOpened"
)

var (
	olderBuild = []string{status}
	newerBuild = []string{status, opened}
)

// roll has another build go on, on the same database.
func (w *world) roll(types []string) {
	w.t.Helper()
	w.stop()
	w.types = types
	w.start()
	w.pass(2 * time.Second)
}

// open appends one event of the further type, and returns its id.
func (w *world) open(request string) string {
	w.t.Helper()
	id := uuid.New()
	w.write(id, "request-"+request, &salesv1.RequestOpened{RequestId: request, CustomerId: "c"})
	return id.String()
}

// activate says that the further type is written from now on.
func (w *world) activate() {
	w.t.Helper()
	w.write(uuid.New(), flows.ActivationsStream, &flowv1.TypeActivated{Schema: "sales.v1.RequestOpened", Flows: []string{tested}, By: "test"})
}

// versions tells the versions of the flow's types, without their positions.
func (w *world) versions() (lines []string) {
	w.t.Helper()
	for _, line := range w.history() {
		if version, ok := strings.CutPrefix(line, "types version "); ok {
			number, rest, _ := strings.Cut(version, " ")
			_, types, _ := strings.Cut(rest, ": ")
			lines = append(lines, number+": "+types)
		}
	}
	return lines
}

func TestATypeIsDeliveredFromWhereABuildAddsIt(t *testing.T) {
	inBubble(t, func(w *world) {
		w.set(flows.RealTime)
		w.types = olderBuild
		w.start()
		w.pass(2 * time.Second)
		var want []string
		keep := func(id string) { want = append(want, id) }

		w.open("r") // passed over, as the flow comes to what follows it
		keep(w.produce("r").String())
		w.pass(2 * time.Second)
		w.roll(newerBuild)
		keep(w.open("r"))
		keep(w.produce("r").String())
		w.pass(2 * time.Second)
		w.roll(olderBuild)
		w.open("r") // passed over
		keep(w.produce("r").String())
		w.pass(2 * time.Second)
		w.roll(newerBuild)
		keep(w.open("r"))
		w.pass(2 * time.Second)
		w.roll(newerBuild) // the same again is no new version
		w.pass(2 * time.Second)

		if diff := cmp.Diff(map[string][]string{"r": want}, w.taken()); diff != "" {
			t.Errorf("taken in (-want +got):\n%s", diff)
		}
		const both = "sales.RequestOpened, sales.RequestStatusChanged"
		versions := []string{"1: " + status, "2: " + both, "3: " + status, "4: " + both}
		if diff := cmp.Diff(versions, w.versions()); diff != "" {
			t.Errorf("versions (-want +got):\n%s", diff)
		}

		// An empty database follows what the log tells of the types.
		lived := w.taken()
		w.stop()
		w.anew()
		w.start()
		w.pass(10 * time.Second)
		if diff := cmp.Diff(lived, w.taken()); diff != "" {
			t.Errorf("a new database took in something else (-lived +new):\n%s", diff)
		}
		if diff := cmp.Diff(versions, w.versions()); diff != "" {
			t.Errorf("a new database has told of the versions anew (-want +got):\n%s", diff)
		}
	})
}

// A database that is made anew by a build of other types begins their version where
// the last one began, and says so, so that the next one comes to the same.
func TestAnEmptyDatabaseOfAnotherBuildBeginsItsVersionWhereTheLastOneBegan(t *testing.T) {
	inBubble(t, func(w *world) {
		w.set(flows.RealTime)
		w.types = olderBuild
		w.start()
		w.open("r") // before the second version
		w.produce("r")
		w.pass(2 * time.Second)
		w.roll(newerBuild)
		w.pass(2 * time.Second)
		w.roll(olderBuild)
		first := w.open("r") // after the third
		w.pass(2 * time.Second)
		w.stop()
		w.anew()
		w.types = newerBuild
		w.start()
		w.pass(10 * time.Second)
		got := w.taken()
		if len(got["r"]) != 2 || got["r"][1] != first {
			t.Errorf("taken in %v, want the status and %s", got, first)
		}
		w.stop()
		w.anew()
		w.start()
		w.pass(10 * time.Second)
		if diff := cmp.Diff(got, w.taken()); diff != "" {
			t.Errorf("the next database took in something else (-one +next):\n%s", diff)
		}
		if n := len(w.versions()); n != 4 {
			t.Errorf("%d versions, want 4: %v", n, w.versions())
		}
	})
}

// A database that was restored from a backup does not know the last versions; the
// control stream does.
func TestARestoredDatabaseFollowsTheVersionsThatWereTold(t *testing.T) {
	where := t.TempDir() + "/old.db"
	inBubbleOn(t, func(testing.TB) string { return where }, func(w *world) {
		w.set(flows.RealTime)
		w.types = olderBuild
		w.start()
		w.produce("r")
		w.quiet()
		w.stop()
		backup := readFile(t, where)
		w.types = newerBuild
		w.start()
		w.open("r")
		w.pass(2 * time.Second)
		lived := w.taken()
		w.stop()
		w.open("r")
		w.where += ".restored"
		writeFile(t, w.where, backup)
		w.start()
		w.pass(2 * time.Second)
		if got := w.taken()["r"]; len(got) != 3 || !slices.Equal(got[:2], lived["r"]) {
			t.Errorf("taken in %v after %v", got, lived["r"])
		}
		if n := len(w.versions()); n != 2 {
			t.Errorf("%d versions, want 2: %v", n, w.versions())
		}
	})
}

// Whatever replicas know of each other: a build goes no further than the activation
// of a type that it would pass over.
func TestAFlowIsHeldAtAnActivationThatItsBuildCannotFollow(t *testing.T) {
	inBubble(t, func(w *world) {
		w.set(flows.RealTime)
		w.types = olderBuild
		w.start()
		w.quiet()
		before := w.produce("r").String()
		w.activate()
		after := w.open("r")
		last := w.produce("r").String()
		w.pass(10 * time.Second)
		if diff := cmp.Diff(map[string][]string{"r": {before}}, w.taken()); diff != "" {
			t.Errorf("held, the older build has taken in (-want +got):\n%s", diff)
		}
		wantHeld(w)

		want := map[string][]string{"r": {before, after, last}}
		w.roll(newerBuild)
		w.pass(10 * time.Second)
		if diff := cmp.Diff(want, w.taken()); diff != "" {
			t.Errorf("the newer build has taken in (-want +got):\n%s", diff)
		}
		if err := w.rt.Ready(t.Context()); err != nil {
			t.Errorf("the newer build is not ready: %v", err)
		}

		// Rolled back too far it does not begin, and ends no version.
		w.roll(olderBuild)
		w.open("r")
		w.pass(10 * time.Second)
		wantHeld(w)
		if n := len(w.versions()); n != 2 {
			t.Errorf("%d versions, want 2: %v", n, w.versions())
		}
		w.roll(newerBuild)
		w.pass(10 * time.Second)
		if got := w.taken()["r"]; len(got) != 4 {
			t.Errorf("%d events are taken in, want all 4", len(got))
		}
	})
}

// Another flow's activation, or an event of the name elsewhere, holds nothing up.
func TestAnActivationThatIsNoneOfTheFlowsBusinessIsPassed(t *testing.T) {
	inBubble(t, func(w *world) {
		w.set(flows.RealTime)
		w.types = olderBuild
		w.start()
		elsewhere := &flowv1.TypeActivated{Schema: "sales.v9.Unheard", Flows: []string{"customer-facts"}}
		w.write(uuid.New(), flows.ActivationsStream, elsewhere)
		w.write(uuid.New(), "somebody-elses", &flowv1.TypeActivated{Schema: "sales.v9.Unheard", Flows: []string{tested}})
		w.produce("r")
		w.pass(2 * time.Second)
		w.roll(olderBuild)
		w.produce("r")
		w.quiet()
		wantCount(w, 2, "past the activations")
	})
}

func wantHeld(w *world) {
	w.t.Helper()
	err := w.rt.Ready(w.t.Context())
	if !errors.Is(err, contract.ErrHeld) || !strings.Contains(err.Error(), "takes in "+tested+" without "+opened) {
		w.t.Errorf("ready: %v, want what holds the flow", err)
	}
	if parked := w.rt.Intake(tested).State().Parked; parked != 0 {
		w.t.Errorf("%d events are parked: a build is to blame, and not they", parked)
	}
}

// TestBuildsRollForwardAndBackAtWill plays seeded schedules of two builds on one
// store, of databases made anew, of windows and of time. The further type is gated:
// the producer writes it once it is active, and nobody rolls back for good from
// there. In the end each event has been taken in once, in the order of its key,
// whatever happened, and a naive reading of the log by the told versions agrees.
func TestBuildsRollForwardAndBackAtWill(t *testing.T) {
	playSeeds(t, 0, seeds(15), func(w *world, seed uint64) { playBuilds(w, rand.New(rand.NewPCG(seed, 7))) })
}

func playBuilds(w *world, chance *rand.Rand) {
	w.types, w.heartbeat = olderBuild, time.Hour
	w.start()
	w.quiet()
	want, active := map[string][]string{}, false
	for range 60 {
		request := name("r", chance.IntN(4))
		switch chance.IntN(10) {
		case 0:
			w.roll(olderBuild)
		case 1, 2:
			w.roll(newerBuild)
		case 3:
			w.set([]string{flows.RealTime, flows.Hourly, flows.Daily}[chance.IntN(3)])
		case 4:
			w.pass(time.Duration(chance.Int64N(int64(3 * time.Hour))))
		case 5:
			if !active && chance.IntN(3) == 0 {
				w.activate()
				active = true
			}
		case 6:
			if chance.IntN(4) == 0 {
				w.stop()
				w.anew()
				w.start()
				w.quiet()
			}
		default:
			if active && chance.IntN(2) == 0 {
				want[request] = append(want[request], w.open(request))
				continue
			}
			want[request] = append(want[request], w.produce(request).String())
		}
	}
	w.roll(newerBuild)
	w.set(flows.RealTime)
	w.pass(time.Minute)
	if diff := cmp.Diff(want, w.taken()); diff != "" {
		w.t.Errorf("taken in (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, w.byTheVersions()); diff != "" {
		w.t.Errorf("by the versions that were told the flow carries (-want +got):\n%s", diff)
	}
}

// byTheVersions reads the log, and of each event looks up the versions that were
// told, from the first to the last.
func (w *world) byTheVersions() map[string][]string {
	w.t.Helper()
	var told []*flowv1.TypesAdopted
	for e, err := range w.log.ReadStream(w.t.Context(), flows.ControlStream(tested), eventlog.Forward, 0, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		event, err := w.streams.Codec.Decode(w.t.Context(), e)
		if err != nil {
			w.t.Fatal(err)
		}
		if m, ok := event.Message.(*flowv1.TypesAdopted); ok {
			told = append(told, m)
		}
	}
	carried := map[string][]string{}
	for e, err := range w.log.ReadAll(w.t.Context(), eventlog.Forward, nil, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		var types []string
		for _, m := range told {
			if m.GetPosition().GetCommit() < e.Position.Commit {
				types = m.GetTypes()
			}
		}
		if request, ok := strings.CutPrefix(e.Stream, "request-"); ok && slices.Contains(types, e.Type) {
			carried[request] = append(carried[request], e.ID.String())
		}
	}
	return carried
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func writeFile(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
