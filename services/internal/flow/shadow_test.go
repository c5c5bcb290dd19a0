package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// startAt starts the service with the flow at a cadence. Weeks will pass.
func (w *world) startAt(cadence string) {
	w.t.Helper()
	w.heartbeat, w.lease = time.Hour, 1000*time.Hour
	w.set(cadence)
	w.start()
	w.quiet()
}

// startShadow has the flow run a shadow, and waits until it does.
func (w *world) startShadow(cadence string) (id string) {
	w.t.Helper()
	id, err := w.flows.StartShadow(w.t.Context(), tested, cadence, "ada", "to see")
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.flows.WaitShadow(w.t.Context(), tested, control.Shadow.Started); err != nil {
		w.t.Fatal(err)
	}
	w.quiet()
	return id
}

// compared returns all comparisons of the flow with its shadow.
func (w *world) compared() []*flowv1.ShadowCompared {
	w.t.Helper()
	s, err := w.flows.GetShadow(w.t.Context(), tested)
	if err != nil {
		w.t.Fatal(err)
	}
	return s.Compared
}

// compareShadow asks for a comparison, and waits for it.
func (w *world) compareShadow() *flowv1.ShadowCompared {
	w.t.Helper()
	marker := w.askToCompare()
	return w.awaitCompared(marker)
}

func (w *world) askToCompare() (marker string) {
	w.t.Helper()
	marker, err := w.flows.CompareShadow(w.t.Context(), tested, "ada")
	if err != nil {
		w.t.Fatal(err)
	}
	return marker
}

func (w *world) awaitCompared(marker string) *flowv1.ShadowCompared {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	s, err := w.flows.WaitShadow(ctx, tested, func(s control.Shadow) bool { return s.At(marker) != nil })
	if err != nil {
		w.t.Fatal(err)
	}
	return s.At(marker)
}

// wantEqual wants n comparisons, all of which found no difference.
func (w *world) wantEqual(n int) (all []*flowv1.ShadowCompared) {
	w.t.Helper()
	all = w.compared()
	if len(all) != n {
		w.t.Errorf("%d comparisons, want %d", len(all), n)
	}
	for i, c := range all {
		if c.GetOutcome() != flowv1.ShadowOutcome_SHADOW_OUTCOME_EQUAL {
			w.t.Errorf("comparison %d: %s: %v", i, control.Compared(c), c.GetFirst())
		}
	}
	return all
}

// answers counts the answers in the log.
func (w *world) answers() (n int) {
	w.t.Helper()
	for e, err := range w.log.ReadAll(w.t.Context(), eventlog.Forward, &eventlog.Position{}, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		if strings.HasPrefix(e.Stream, "answers-") {
			n++
		}
	}
	return n
}

const week = 7 * 24 * time.Hour

// A weekly flow has a shadow in real time. Week by week they come to the same,
// and only the flow answers.
func TestAWeeklyFlowAndItsShadowInRealTimeComeToTheSame(t *testing.T) {
	inBubble(t, func(w *world) {
		w.late = flow.LatePolicy{Do: flow.ExpireLate, After: 72 * time.Hour}
		w.startAt(flows.Weekly)
		w.pass(51 * time.Hour) // the week begins on Monday at two
		for range 5 {
			w.produce("r00") // before the shadow begins, and not taken in yet
		}
		w.startShadow(flows.RealTime)
		produced := 5
		for n := range 3 {
			for day := range 7 {
				w.produce(name("r", day%3))
				w.produce(name("r", 5))
				produced += 2
				w.pass(24 * time.Hour)
			}
			all := w.wantEqual(n + 1)
			last := all[len(all)-1]
			if got := last.GetLive().GetTaken(); got == 0 || got != last.GetShadow().GetTaken() {
				t.Errorf("the flow took in %d, its shadow %d", got, last.GetShadow().GetTaken())
			}
			if last.GetLive().GetCausesLate() == 0 || last.GetShadow().GetCausesLate() != 0 || last.GetCausesLateInOne() != last.GetLive().GetCausesLate() {
				t.Errorf("late are %d causes of the flow, %d of its shadow, %d in one only", last.GetLive().GetCausesLate(), last.GetShadow().GetCausesLate(), last.GetCausesLateInOne())
			}
			if got, taken := w.answers(), w.count(); got != produced || taken != produced {
				t.Errorf("week %d: %d produced, %d taken in, %d answered", n, produced, taken, got)
			}
		}
	})
}

// At any moment somebody may ask: the shadow waits at the marker with what it
// holds until the flow has come to it.
func TestAComparisonIsMadeWhenBothHaveTakenInTheMarker(t *testing.T) {
	for name, tc := range map[string]struct {
		flow, shadow string
		days         int // until the slower one has had a window
	}{
		"a weekly flow, a shadow in real time": {flows.Weekly, flows.RealTime, 8},
		"a flow in real time, a weekly shadow": {flows.RealTime, flows.Weekly, 8},
		"an hourly flow, a daily shadow":       {flows.Hourly, flows.Daily, 2},
		"a daily flow, an hourly shadow":       {flows.Daily, flows.Hourly, 2},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				w.startAt(tc.flow)
				w.startShadow(tc.shadow)
				w.produce("r00")
				w.produce("r01")
				marker := w.askToCompare()
				if again := w.askToCompare(); again != marker {
					t.Error("another marker was set while one waits")
				}
				w.produce("r00") // after the marker
				w.pass(time.Minute)
				if tc.flow != flows.RealTime {
					if len(w.compared()) != 0 {
						t.Error("compared before the flow has taken in the marker")
					}
					if _, err := w.flows.RunWindow(t.Context(), tested, "ada", "now"); err != nil {
						t.Fatal(err)
					}
				}
				c := w.awaitCompared(marker)
				if c.GetOutcome() != flowv1.ShadowOutcome_SHADOW_OUTCOME_EQUAL || c.GetLive().GetRows() != 2 || c.GetLive().GetCauses() != 2 || c.GetLive().GetTaken() != 2 {
					t.Errorf("%s; the flow: %v; the shadow: %v", control.Compared(c), c.GetLive(), c.GetShadow())
				}
				w.pass(time.Minute)
				before := len(w.compared()) // the window that was asked for is a marker too, and may have come too soon
				for range tc.days {
					w.produce("r02")
					w.pass(24 * time.Hour)
				}
				all := w.compared()[before:]
				if len(all) == 0 {
					t.Error("windows were no markers of comparison")
				}
				for _, c := range all {
					if c.GetOutcome() != flowv1.ShadowOutcome_SHADOW_OUTCOME_EQUAL {
						t.Errorf("%s: %v", control.Compared(c), c.GetFirst())
					}
				}
			})
		})
	}
}

// A projection that is no function of the events alone comes to something else at
// another cadence.
func TestWhatDependsOnTheCadenceIsFoundAndNamed(t *testing.T) {
	for name, tc := range map[string]struct {
		row  func(e codec.Event) string
		want string // a row that is named
	}{
		"on the time of day":    {func(e codec.Event) string { return time.Now().Format(time.DateOnly) }, "r00 differs in request"},
		"on how late it is":     {func(e codec.Event) string { return fmt.Sprint(time.Since(e.Created) > time.Hour) }, "r00 differs in request"},
		"on nothing but events": {func(e codec.Event) string { return e.Stream }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				w.projecting = func(ctx context.Context, tx *projection.Tx, e codec.Event) error {
					_, err := tx.Exec(ctx, `INSERT INTO seen (event_id, request, ordinal, times) VALUES (?, ?, 0, 1)
						ON CONFLICT (event_id) DO UPDATE SET request = excluded.request`, strings.TrimPrefix(e.Stream, "request-"), tc.row(e))
					return err
				}
				w.startAt(flows.Weekly)
				w.startShadow(flows.RealTime)
				w.produce("r00")
				w.pass(week)
				all := w.compared()
				if len(all) != 1 {
					t.Fatalf("%d comparisons, want 1", len(all))
				}
				if tc.want == "" {
					w.wantEqual(1)
					return
				}
				c := all[0]
				if c.GetOutcome() != flowv1.ShadowOutcome_SHADOW_OUTCOME_DIFFERENT || c.GetRowsDiffering() != 1 || len(c.GetFirst()) != 1 {
					t.Fatalf("%s, want one row that differs", control.Compared(c))
				}
				if got := control.Differing(c.GetFirst()[0]); !strings.Contains(got, `"r00" differs in request`) {
					t.Errorf("named %q", got)
				}
			})
		})
	}
}

// A projection that counts transactions shows a row more or less for each batch.
func TestARowThatOnlyOneHasIsNamed(t *testing.T) {
	inBubble(t, func(w *world) {
		var batches atomic.Int64
		w.projecting = func(ctx context.Context, tx *projection.Tx, e codec.Event) error {
			_, err := tx.Exec(ctx, `INSERT INTO seen (event_id, request, ordinal, times) VALUES (?, '', 0, 1)`, fmt.Sprintf("row %02d", batches.Add(1)))
			return err
		}
		w.startAt(flows.Weekly)
		w.startShadow(flows.RealTime)
		for range 12 {
			w.produce("r00")
		}
		w.pass(week)
		all := w.compared()
		if len(all) != 1 || all[0].GetRowsDiffering() != 24 || len(all[0].GetFirst()) != 10 {
			t.Fatalf("compared %v, want 24 rows that differ, ten of them named", all)
		}
		first := control.Differing(all[0].GetFirst()[0])
		if first != `seen: event_id="row 01" is not in the flow` {
			t.Errorf("named %q", first)
		}
	})
}

// A reaction that takes causes by the time of day, as none may, takes others at
// another cadence.
func TestACauseThatOnlyOneTakesIsNamed(t *testing.T) {
	inBubble(t, func(w *world) {
		var always atomic.Bool
		w.takes = func(e codec.Event) bool { return always.Load() || time.Since(e.Created) < time.Hour }
		w.startAt(flows.Weekly)
		w.startShadow(flows.RealTime)
		id := w.produce("r00")
		w.pass(week)
		all := w.compared()
		if len(all) != 1 || all[0].GetCausesDiffering() != 1 || all[0].GetRowsDiffering() != 0 {
			t.Fatalf("compared %v, want one cause that differs", all)
		}
		if got := control.Differing(all[0].GetFirst()[0]); !strings.Contains(got, id.String()) || !strings.Contains(got, "test-answer") || !strings.Contains(got, "is not in the flow") {
			t.Errorf("named %q", got)
		}
		w.produce("r01")
		always.Store(true)
		w.pass(week)
		if c := w.compared()[1]; c.GetCausesDiffering() != 0 {
			t.Errorf("the cause was told again: %s", control.Compared(c))
		}
	})
}

// The flow goes on at another cadence: its shadow has done its work.
func TestACutOverEndsTheShadow(t *testing.T) {
	inBubble(t, func(w *world) {
		w.startAt(flows.Weekly)
		w.startShadow(flows.RealTime)
		w.produce("r00")
		w.pass(time.Minute)
		w.set(flows.RealTime)
		w.pass(time.Minute)
		if _, err := w.flows.GetShadow(t.Context(), tested); !errors.Is(err, control.ErrNoShadow) {
			t.Errorf("got %v, want no shadow", err)
		}
		w.wantNoTraces()
		if lines := w.history(); !slices.ContainsFunc(lines, func(line string) bool {
			return strings.Contains(line, "shadow ended, by /triangle/marketing: the flow goes on at another cadence")
		}) {
			t.Errorf("the history does not tell: %q", lines)
		}
		wantCount(w, 1, "after the cut-over")
		w.startShadow(flows.Hourly) // and another one may begin
		w.produce("r01")
		w.pass(2 * time.Hour)
		if n := len(w.compared()); n == 0 {
			t.Error("the next shadow was not compared")
		}
	})
}

// wantNoTraces wants nothing noted for a shadow any more.
func (w *world) wantNoTraces() {
	w.t.Helper()
	var shadows, causes int
	if err := w.db.QueryRow(w.t.Context(), `SELECT (SELECT count(*) FROM flow_shadow), (SELECT count(*) FROM flow_shadow_cause)`).Scan(&shadows, &causes); err != nil {
		w.t.Fatal(err)
	}
	if shadows != 0 || causes != 0 {
		w.t.Errorf("%d shadows and %d causes are noted still", shadows, causes)
	}
}

func TestAShadowThatIsStoppedLeavesNothingBehind(t *testing.T) {
	inBubble(t, func(w *world) {
		w.startAt(flows.Daily)
		w.startShadow(flows.RealTime)
		w.produce("r00")
		w.pass(25 * time.Hour)
		w.wantEqual(1)
		w.produce("r00")
		ended, err := w.flows.StopShadow(t.Context(), tested, "ada", "seen enough")
		if err != nil || ended.Cadence != flows.RealTime {
			t.Fatalf("ended %v, %v", ended, err)
		}
		w.pass(time.Minute)
		w.wantNoTraces()
		// One that is asked for and ended while the service is away never begins.
		w.stop()
		if _, err := w.flows.StartShadow(t.Context(), tested, flows.Hourly, "ada", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := w.flows.StopShadow(t.Context(), tested, "ada", ""); err != nil {
			t.Fatal(err)
		}
		w.start()
		w.pass(time.Minute)
		w.wantNoTraces()
		if lines := strings.Join(w.history(), "\n"); strings.Count(lines, "shadow began") != 1 || strings.Count(lines, "shadow compared, equal") != 1 {
			t.Errorf("the history tells:\n%s", lines)
		}
	})
}

// What is parked is parked in both; what is retried or skipped is so in both.
func TestAShadowParksWhatTheFlowParks(t *testing.T) {
	inBubble(t, func(w *world) {
		bad := w.bad("r00")
		w.startAt(flows.RealTime)
		first := w.produce("r00")
		w.produce("r00")
		w.pass(time.Minute)
		w.startShadow(flows.Hourly)
		w.produce("r00") // waits behind those that were parked before
		w.produce("r01")
		w.pass(2 * time.Hour)
		if all := w.wantEqual(2); all[1].GetLive().GetParked() != 3 || all[1].GetShadow().GetParked() != 3 {
			t.Errorf("parked: %v", all[1])
		}
		bad.on.Store(false)
		if _, err := w.flows.Retry(t.Context(), tested, first.String(), "ada", "mended"); err != nil {
			t.Fatal(err)
		}
		w.pass(2 * time.Hour)
		if all := w.wantEqual(4); all[3].GetLive().GetParked() != 0 || all[3].GetLive().GetRows() != 4 {
			t.Errorf("after the retry: %v", all[3])
		}
		if n := len(parkedRows(w)); n != 0 {
			t.Errorf("%d are parked still", n)
		}
		if got := len(w.answered("r00")); got != 3 {
			t.Errorf("%d answers of r00, want 3", got)
		}
	})
}

func TestWhatCanNotBeShadowedIsRefused(t *testing.T) {
	inBubble(t, func(w *world) {
		start := func(flow, cadence string) error {
			_, err := w.flows.StartShadow(t.Context(), flow, cadence, "ada", "")
			return err
		}
		w.start()
		w.quiet()
		_, stop := w.flows.StopShadow(t.Context(), tested, "ada", "")
		_, compare := w.flows.CompareShadow(t.Context(), tested, "ada")
		for _, tc := range []struct{ got, want error }{
			{start("no-such-flow", flows.RealTime), control.ErrUnknownFlow},
			{start(tested, "sometimes"), flows.ErrCadence},
			{start(tested, flows.Paused), control.ErrPausedShadow},
			{start(tested, flows.Daily), control.ErrSameCadence},
			{stop, control.ErrNoShadow},
			{compare, control.ErrNoShadow},
		} {
			if !errors.Is(tc.got, tc.want) {
				t.Errorf("got %v, want %v", tc.got, tc.want)
			}
		}
		w.startShadow(flows.RealTime)
		if err := start(tested, flows.Hourly); !errors.Is(err, control.ErrShadowRuns) {
			t.Errorf("got %v, want %v", err, control.ErrShadowRuns)
		}
		w.stop() // and so does not adopt it
		w.set(flows.Paused)
		if err := start(tested, flows.Hourly); !errors.Is(err, control.ErrUnsettled) {
			t.Errorf("got %v, want %v", err, control.ErrUnsettled)
		}
		w.start()
		w.pass(time.Minute)
		if err := start(tested, flows.Hourly); !errors.Is(err, control.ErrPaused) {
			t.Errorf("got %v, want %v", err, control.ErrPaused)
		}
	})
}

// A shadow belongs to whoever owns the flow: it goes on where it was, also after
// an owner that froze in the middle of a transaction and comes back.
func TestAShadowMovesWithTheOwner(t *testing.T) {
	w, produced := replicated(t), map[string][]string{}
	first := w.newMember(t)
	await(t, "an owner", first.rt.Owns)
	w.produceMany(produced, 10)
	first.wantOnce(t, produced)
	if _, err := w.flows.WaitSettled(t.Context(), tested); err != nil {
		t.Fatal(err)
	}
	if _, err := w.flows.StartShadow(t.Context(), tested, flows.Hourly, "ada", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.flows.WaitShadow(t.Context(), tested, control.Shadow.Started); err != nil {
		t.Fatal(err)
	}
	wantEqual := func(when string, rows uint64) {
		t.Helper()
		var c *flowv1.ShadowCompared
		await(t, "a comparison "+when, func() bool { // none while the owner changes, or when an hour has passed
			c = w.compareShadow()
			return c.GetOutcome() != flowv1.ShadowOutcome_SHADOW_OUTCOME_NOT_COMPARED
		})
		if c.GetOutcome() != flowv1.ShadowOutcome_SHADOW_OUTCOME_EQUAL || c.GetLive().GetRows() != rows {
			t.Errorf("%s: %s: %v; %v", when, control.Compared(c), c.GetFirst(), c.GetLive())
		}
	}
	w.produceMany(produced, 10)
	wantEqual("with one owner", 20)

	second := w.newMember(t)
	frozen := make(chan struct{})
	first.frozen.Store(&frozen)
	w.produceMany(produced, 10)
	holder := first.holder(t)
	await(t, "another owner", func() bool {
		second.runOut(t, holder)
		return second.rt.Owns()
	})
	second.wantOnce(t, produced)
	wantEqual("with another owner", 30)
	first.frozen.Store(nil)
	close(frozen)
	await(t, "the one that froze to see that it was replaced", func() bool { return !first.rt.Owns() })
	w.produceMany(produced, 10)
	wantEqual("when the one that froze is back", 40)
	second.stop(t)
	await(t, "the first one to own the flows again", first.rt.Owns)
	w.produceMany(produced, 10)
	wantEqual("with the first owner again", 50)
	first.wantOnce(t, produced)
	for _, c := range w.compared() {
		if c.GetOutcome() == flowv1.ShadowOutcome_SHADOW_OUTCOME_DIFFERENT {
			t.Errorf("%s: %v", control.Compared(c), c.GetFirst())
		}
	}
}
