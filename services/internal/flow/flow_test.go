package flow_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

func TestADailyFlowTakesInNothingUntilItsWindow(t *testing.T) {
	inBubble(t, func(w *world) {
		w.heartbeat = time.Minute
		w.start() // synctest begins at midnight UTC; the window is due at 02:00
		w.quiet()
		for i := range 5 {
			w.produce(name("r", i%2))
			w.pass(time.Minute)
		}
		wantCount(w, 0, "before the window")
		if got := w.freshness().Round(time.Minute); got != 5*time.Minute {
			t.Errorf("the oldest event waits for 5m, freshness says %s", got)
		}
		w.pass(2 * time.Hour)
		wantCount(w, 5, "after the window")
		if got := w.freshness(); got != 0 {
			t.Errorf("nothing waits, freshness says %s", got)
		}
		w.produce("r09")
		w.pass(time.Hour)
		wantCount(w, 5, "after an event that came after the window")
		w.pass(24 * time.Hour)
		wantCount(w, 6, "after the next window")
		if got := closedWindows(w); !slices.Equal(got, []string{"window closed: 5 events", "window closed: 1 events"}) {
			t.Errorf("windows: %q", got)
		}
	})
}

func TestWindowsThatWereMissedFoldIntoOne(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		w.quiet()
		w.stop()
		w.produce("r")
		w.pass(10*24*time.Hour + 12*time.Hour)
		w.start()
		w.pass(2 * time.Second) // until the outbox has told
		wantCount(w, 1, "after ten missed windows")
		if got := closedWindows(w); len(got) != 1 {
			t.Errorf("windows: %q, want one", got)
		}
	})
}

func closedWindows(w *world) (closed []string) {
	for _, line := range w.history() {
		if strings.HasPrefix(line, "window closed") {
			closed = append(closed, line)
		}
	}
	return closed
}

func TestAWindowCanBeAskedFor(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		w.produce("r")
		w.quiet()
		wantCount(w, 0, "before it is asked for")
		if _, err := w.flows.RunWindow(w.t.Context(), tested, "test", "no time to wait"); err != nil {
			t.Fatal(err)
		}
		w.pass(2 * time.Second)
		wantCount(w, 1, "after the window")
		w.set(flows.Paused)
		w.pass(2 * time.Second)
		if _, err := w.flows.RunWindow(w.t.Context(), tested, "test", "x"); err == nil {
			t.Error("a paused flow gave a window")
		}
	})
}

// A window that was asked for lies before one that was due. Whoever ends between
// the two goes on up to the latter.
func TestAWindowThatIsBrokenOffIsGoneOnWith(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		w.pass(time.Minute)
		w.stop()
		w.pass(24 * time.Hour)
		if _, err := w.flows.RunWindow(t.Context(), tested, "ada", ""); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			w.produce(name("r", i))
		}
		w.poison = func(request string) error {
			if request == name("r", 2) {
				return errors.New("the database is busy")
			}
			return nil
		}
		w.start()
		w.pass(time.Second)
		wantCount(w, 2, "in the midst of the window")
		w.stop()
		w.poison = func(string) error { return nil }
		w.start()
		w.pass(time.Second)
		wantCount(w, 3, "when the service is back")
	})
}

func TestAFlowMovesThroughItsCadencesAndLosesNothing(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		w.quiet()
		for i, cadence := range []string{flows.Weekly, flows.Hourly, flows.RealTime, flows.Paused, flows.RealTime, flows.Daily, flows.RealTime} {
			w.produce(name("before", i))
			w.produce("same")
			w.set(cadence)
			w.produce(name("after", i))
			w.produce("same")
			w.pass(10 * time.Second)
		}
		wantCount(w, 28, "in real time at the end")
		var oldest int
		if err := w.db.QueryRow(w.t.Context(), `SELECT min(epoch) FROM flow_chain`).Scan(&oldest); err != nil || oldest != 7 {
			w.t.Errorf("there are chains from epoch %d on (%v), want them from the last one that has closed, 7", oldest, err)
		}
		want := []string{
			"types version 1 carried after C:0/P:0: sales.RequestStatusChanged",
			"epoch 2 asked for: weekly, by test: for the test",
			"epoch 2 began: weekly",
			"epoch 1 closed: 2 events, intake digest",
			"epoch 3 asked for: hourly, by test: for the test",
			"epoch 3 began: hourly",
			"epoch 2 closed: 4 events, intake digest",
			"epoch 4 asked for: realtime, by test: for the test",
			"epoch 4 began: realtime",
			"epoch 3 closed: 4 events, intake digest",
		}
		got := w.history()[:len(want)]
		for i := range got {
			got[i], _, _ = strings.Cut(got[i], " digest ")
			if strings.Contains(got[i], "closed") {
				got[i] += " digest"
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

func TestEqualEventsHaveEqualDigestsWhateverTheCadence(t *testing.T) {
	closed := make(chan string, 4)
	t.Run("cadences", func(t *testing.T) {
		for _, cadence := range []string{flows.Hourly, flows.RealTime} {
			t.Run(cadence, func(t *testing.T) {
				inBubble(t, func(w *world) { closed <- closedWithTwenty(w, cadence) })
			})
		}
	})
	close(closed)
	first := <-closed
	for other := range closed {
		if other != first {
			t.Errorf("one says: %s\nanother: %s", first, other)
		}
	}
}

// closedWithTwenty takes in twenty events at a cadence, and returns what is told
// when their epoch closes.
func closedWithTwenty(w *world, cadence string) string {
	w.t.Helper()
	w.set(cadence)
	w.start()
	w.pass(2 * time.Second)
	for i := range 20 {
		w.produceAs(uuid.NewSHA1(uuid.NameSpaceURL, []byte{byte(i)}), name("r", i%3))
		if i%7 == 0 {
			w.pass(time.Hour)
		}
	}
	w.set(flows.Paused)
	w.pass(3 * time.Second)
	i := slices.IndexFunc(w.history(), func(line string) bool { return strings.HasPrefix(line, "epoch 2 closed: 20 events") })
	if i < 0 {
		w.t.Fatalf("epoch 2 did not close with 20 events: %q", w.history())
	}
	return w.history()[i]
}

func TestACrashAtAnyAnswerAnswersEachCauseOnce(t *testing.T) {
	for name, noTables := range map[string]bool{"with tables": false, "with reactions only": true} {
		t.Run(name, func(t *testing.T) { crashAtAnyAnswer(t, noTables) })
	}
}

func crashAtAnyAnswer(t *testing.T, noTables bool) {
	inBubble(t, func(w *world) {
		w.noTables = noTables
		produced := map[string][]string{}
		w.set(flows.RealTime)
		lost := errors.New("the connection broke after the append")
		for i := range 10 {
			var answers atomic.Int64 // causes are answered side by side
			fault := func(stream string) error {
				if strings.HasPrefix(stream, "answers-") {
					if n := answers.Add(1); n > int64(i) && n < int64(i)+3 {
						return lost
					}
				}
				return nil
			}
			w.appendFault.Store(&fault)
			w.start()
			for j := range 5 {
				key := name("r", j)
				produced[key] = append(produced[key], w.produce(key).String())
			}
			w.pass(time.Minute)
			w.stop()
		}
		w.start()
		w.pass(time.Minute)
		if !noTables {
			wantCount(w, 50, "after every crash")
		}
		for request, ids := range produced {
			var want []string
			for _, id := range ids {
				want = append(want, "answer to "+id)
			}
			if diff := cmp.Diff(want, w.answered(request)); diff != "" {
				t.Errorf("answers of %s (-want +got):\n%s", request, diff)
			}
		}
	})
}

func TestAnEventThatIsItselfToBlameIsParkedAndItsKeyWaits(t *testing.T) {
	inBubble(t, func(w *world) {
		w.poison = func(request string) error {
			if request == "bad" {
				return flow.Unprocessable(errors.New("no such kind"))
			}
			return nil
		}
		w.set(flows.RealTime)
		w.start()
		w.produce("good")
		w.produce("bad")
		w.produce("good")
		w.produce("bad")
		w.append("request-odd", eventlog.NewEvent{ID: [16]byte{1}, Type: "sales.RequestStatusChanged", Data: []byte("{"), Metadata: []byte("{}")})
		w.produce("good")
		w.pass(time.Minute)
		wantCount(w, 3, "with three parked")
		if got := w.rt.Intake(tested).State().Parked; got != 3 {
			t.Errorf("%d events are parked, want 3", got)
		}
		var parked int
		for _, line := range w.history() {
			if strings.Contains(line, "parked") {
				parked++
			}
		}
		if parked != 3 {
			t.Errorf("history tells of %d parked events, want 3:\n%s", parked, strings.Join(w.history(), "\n"))
		}
	})
}

func TestLaterEventsOfAParkedKeyWaitBehindIt(t *testing.T) {
	inBubble(t, func(w *world) {
		faults := 0
		w.poison = func(request string) error {
			if faults++; request == "r" && faults <= 2 { // the first event, and when it is tried again
				return flow.Unprocessable(errors.New("no such kind"))
			}
			return nil
		}
		w.set(flows.RealTime)
		w.start()
		w.pass(time.Second)
		w.produce("r")
		w.pass(time.Minute)
		w.produce("r") // nothing is wrong with it
		w.produce("s")
		w.pass(time.Minute)
		wantCount(w, 1, "as only the other key goes on")
		if got := w.rt.Intake(tested).State().Parked; got != 2 {
			t.Errorf("%d events are parked, want the first and the one behind it", got)
		}
	})
}

func TestAFlowThatParksTooMuchStops(t *testing.T) {
	inBubble(t, func(w *world) {
		w.parkMax = 3
		w.poison = func(string) error { return flow.Unprocessable(errors.New("everything is bad")) }
		w.set(flows.RealTime)
		w.start()
		for i := range 10 {
			w.produce(name("r", i))
		}
		w.pass(time.Minute)
		state := w.rt.Intake(tested).State()
		if !errors.Is(state.Err, flow.ErrParkedTooMany) || state.Parked != 3 {
			t.Errorf("parked %d, err %v; want 3, ErrParkedTooMany", state.Parked, state.Err)
		}
		if err := w.rt.Ready(w.t.Context()); !errors.Is(err, flow.ErrParkedTooMany) {
			t.Errorf("readiness is %v, want ErrParkedTooMany", err)
		}
	})
}

func TestADatabaseThatFailsParksNothing(t *testing.T) {
	inBubble(t, func(w *world) {
		broken := errors.New("disk full")
		fails := 5
		w.poison = func(string) error {
			if fails--; fails >= 0 {
				return broken
			}
			return nil
		}
		w.set(flows.RealTime)
		w.start()
		for i := range 10 {
			w.produce(name("r", i))
		}
		w.pass(time.Minute)
		wantCount(w, 10, "when the disk has room again")
		if state := w.rt.Intake(tested).State(); state.Parked != 0 || state.Err != nil {
			t.Errorf("parked %d, err %v; want 0, nil", state.Parked, state.Err)
		}
	})
}

// An SQLite file belongs to the process that opened it last.
func TestAProcessThatWasReplacedCannotWriteAndEnds(t *testing.T) {
	inBubbleOn(t, pgtest.Databases()["SQLite"], func(w *world) {
		w.set(flows.RealTime)
		w.start()
		w.produce("r")
		w.pass(time.Second)
		other, err := projection.Open(w.t.Context(), w.where, "marketing")
		if err != nil {
			t.Fatal(err)
		}
		first := w.done
		end := w.end
		defer end()
		old := w.db
		defer func() { _ = old.Close() }()
		w.db, w.rt = other, w.newRuntime(other)
		w.runSecond()
		w.pass(time.Second)
		w.end() // the new owner has taken over, and not moved
		w.pass(time.Second)
		w.produce("r")
		w.pass(time.Second)
		select {
		case err := <-first:
			if err == nil || !strings.Contains(err.Error(), "taken over") {
				t.Errorf("the first owner ended with %v, want that another process has taken over", err)
			}
		case <-time.After(time.Minute):
			end()
			t.Error("the first owner goes on, although another process has taken over")
		}
		wantCount(w, 1, "as the new owner has ended, and the old one may not write")
	})
}

func TestWhatComesAfterACutOverIsNotTheOldEpochsBusiness(t *testing.T) {
	inBubble(t, func(w *world) {
		w.set(flows.RealTime)
		w.start()
		w.pass(time.Second)
		w.stop()
		w.produce("r")
		w.set(flows.Paused)
		w.produce("r")
		w.start() // and finds all of it at once
		w.pass(time.Minute)
		wantCount(w, 1, "when the flow was paused between two events")
		w.set(flows.RealTime)
		w.pass(time.Minute)
		wantCount(w, 2, "in real time again")
	})
}

func TestARequestForAnEpochThatHasBeenIsOutOfDate(t *testing.T) {
	inBubble(t, func(w *world) {
		w.set(flows.Hourly)
		w.set(flows.RealTime) // epoch 3
		w.start()
		w.pass(time.Second)
		w.requestAgain(2, flows.Paused)
		w.produce("r")
		w.pass(time.Second)
		wantCount(w, 1, "after a stale request to pause")
		if state := w.rt.Intake(tested).State(); state.Epoch != 3 || state.Cadence != flows.RealTime {
			t.Errorf("the flow is in epoch %d, %s; want 3, realtime", state.Epoch, state.Cadence)
		}
	})
}

// requestAgain requests an epoch that has been, as a controller that was deposed
// may, by other means than ours.
func (w *world) requestAgain(epoch uint64, cadence string) {
	w.t.Helper()
	e, err := w.streams.Codec.Encode(w.t.Context(), &flowv1.CadenceRequested{Flow: tested, Epoch: epoch, Cadence: cadence, By: "a deposed controller"},
		uuid.New(), codec.Metadata{Source: "/triangle/control", Time: time.Now()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.append(flows.ControlStream(tested), e)
}

func TestAStoreOfAnotherEnvironmentStopsTheFlowBeforeItTakesAnythingIn(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start() // the flow is daily: nothing is taken in
		w.pass(time.Second)
		w.stop()
		foreign := newWorld(w.t, filepath.Join(w.t.TempDir(), "its-own.db"))
		foreign.start() // founds an environment of its own
		foreign.pass(time.Second)
		foreign.stop()
		foreign.where = w.where
		foreign.start()
		foreign.pass(time.Second)
		if err := foreign.rt.Intake(tested).State().Err; !errors.Is(err, flow.ErrForeignStore) {
			t.Errorf("the flow says %v, want ErrForeignStore", err)
		}
	})
}

func TestAStoreThatWasRestoredStopsTheFlow(t *testing.T) {
	inBubble(t, func(w *world) {
		w.set(flows.RealTime)
		w.start()
		w.produce("r")
		w.pass(time.Second)
		w.stop()
		restored := newWorld(w.t, w.where) // of the same environment, with another history
		for e, err := range w.log.ReadStream(w.t.Context(), "environment", eventlog.Forward, 0, 1) {
			if err != nil {
				t.Fatal(err)
			}
			restored.append("environment", e.NewEvent)
		}
		restored.set(flows.RealTime)
		restored.produce("s")
		restored.produce("s")
		restored.start()
		restored.pass(time.Second)
		if err := restored.rt.Intake(tested).State().Err; !errors.Is(err, flow.ErrForeignStore) {
			t.Errorf("the flow says %v, want ErrForeignStore", err)
		}
		wantCount(restored, 1, "from before the restore only")
	})
}
