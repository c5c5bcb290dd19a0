package flow_test

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
)

func (w *world) state() flow.State { return w.rt.Intake(tested).State() }

// wantWaiting wants so many events to be known to wait, the oldest for so long.
func (w *world) wantWaiting(lag uint64, staleness time.Duration, when string) {
	w.t.Helper()
	s, got := w.state(), w.freshness()
	if !s.Known || s.Lag != lag || s.Oldest.IsZero() != (lag == 0) || got.Round(time.Second) != staleness {
		w.t.Errorf("%s: %d wait since %v (known: %v), the flow is %s stale; want %d, %s", when, s.Lag, s.Oldest, s.Known, got, lag, staleness)
	}
}

// told returns every event of a type that was ever written, bounded streams or
// not.
func told[M any](w *world, stream string) (all []M, ids []uuid.UUID) {
	w.t.Helper()
	for e, err := range w.log.ReadAll(w.t.Context(), eventlog.Forward, nil, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		if stream != anyStream && e.Stream != stream {
			continue
		}
		decoded, err := w.streams.Codec.Decode(w.t.Context(), e)
		if err != nil {
			w.t.Fatal(err)
		}
		if m, ok := decoded.Message.(M); ok {
			all, ids = append(all, m), append(ids, e.ID)
		}
	}
	return all, ids
}

// anyStream has told look into all of them.
const anyStream = ""

func (w *world) progress() []*flowv1.FlowProgressed {
	all, _ := told[*flowv1.FlowProgressed](w, flows.ProgressStream(tested))
	return all
}

func TestStalenessGrowsBehindAClosedWeeklyGate(t *testing.T) {
	inBubble(t, func(w *world) {
		w.heartbeat = 5 * time.Second
		w.set(flows.Weekly)
		w.start() // on a Saturday, at midnight; the window is due on Monday at 02:00
		w.quiet()
		w.wantWaiting(0, 0, "before anything came")
		w.produce("a")
		w.pass(24 * time.Hour)
		w.wantWaiting(1, 24*time.Hour, "after a day")
		for range 60 {
			w.produce("b")
			w.pass(time.Second)
		}
		w.wantWaiting(61, 24*time.Hour+time.Minute, "after a minute more")
		w.pass(10 * time.Second)
		all := w.progress()
		last := all[len(all)-1]
		if last.GetLag() != 61 || !last.GetOldestWaiting().AsTime().Equal(w.state().Oldest) {
			t.Errorf("progress tells %v", last)
		}
		if n := len(all); n < 7 || n > 12 {
			t.Errorf("progress was told %d times: 60 events came in a minute, and it is told every 10 seconds", n)
		}
		w.pass(26 * time.Hour)
		w.wantWaiting(0, 0, "after the window")
		if last := w.state(); last.Taken != 61 {
			t.Errorf("%d events were taken in", last.Taken)
		}
		all = w.progress()
		if last := all[len(all)-1]; last.Lag == nil || last.GetLag() != 0 || last.GetOldestWaiting() != nil {
			t.Errorf("after the window progress tells %v", last)
		}
		before := len(all)
		w.pass(24 * time.Hour)
		if n := len(w.progress()); n != before {
			t.Errorf("while nothing changed progress was told %d times", n-before)
		}
	})
}

// An intake that hangs in a transaction has not been delivered what came since.
func TestWhatComesWhileTheIntakeIsStuckIsKnown(t *testing.T) {
	inBubble(t, func(w *world) {
		hold := make(chan struct{})
		w.poison = func(string) error { <-hold; return nil }
		w.set(flows.RealTime)
		w.start()
		w.quiet()
		w.produce("a")
		w.pass(time.Minute)
		for range 4 {
			w.produce("a")
		}
		w.pass(time.Minute)
		w.wantWaiting(5, 2*time.Minute, "while the intake is stuck")
		close(hold)
		w.quiet()
		w.wantWaiting(0, 0, "when it went on")
		wantCount(w, 5, "when it went on")
	})
}

// What stands by knows the same of an owner that is stuck.
func TestAReplicaThatStandsByKnowsWhatWaitsForAStuckOwner(t *testing.T) {
	w := replicated(t)
	w.lease = time.Hour
	owner := w.newMember(t)
	await(t, "an owner", owner.rt.Owns)
	w.produceMany(map[string][]string{}, 3)
	frozen := make(chan struct{})
	standby := w.newMember(t)
	await(t, "the replica to know that nothing waits", func() bool {
		s := standby.rt.Intake(tested).State()
		return s.Known && s.Taken == 3 && s.Lag == 0
	})
	owner.frozen.Store(&frozen)
	w.produceMany(map[string][]string{}, 5)
	for _, m := range []*member{owner, standby} {
		await(t, "five events wait", func() bool {
			s := m.rt.Intake(tested).State()
			return s.Known && s.Taken == 3 && s.Lag == 5
		})
	}
	owner.frozen.Store(nil)
	close(frozen)
	await(t, "none waits", func() bool {
		s := standby.rt.Intake(tested).State()
		return s.Taken == 8 && s.Lag == 0 && s.Oldest.IsZero()
	})
}

func TestAgeIsNeverNegative(t *testing.T) {
	inBubble(t, func(w *world) {
		registry := prometheus.NewRegistry()
		w.storeAhead, w.metrics = 30*time.Minute, registry
		w.start()
		w.quiet()
		w.produce("a")
		w.pass(time.Minute)
		w.wantWaiting(1, 0, "while the store's clock shows a time that is still to come")
		if got := gathered(t, registry)["triangle_flow_staleness_seconds"]; got != 0 {
			t.Errorf("the metric says %v", got)
		}
		w.pass(59 * time.Minute)
		w.wantWaiting(1, 30*time.Minute, "when ours shows it as well")
		w.pass(24 * time.Hour)
		measured, _ := told[*flowv1.FreshnessMeasured](w, flows.FreshnessStream(tested))
		for _, m := range measured {
			if m.GetGood().AsDuration() != m.GetTotal().AsDuration() {
				t.Errorf("the flow counts as stale: %v", m)
			}
		}
		w.set(flows.RealTime)
		w.quiet()
		before := gathered(t, registry)
		w.produce("a")
		w.pass(time.Second)
		after := gathered(t, registry)
		const count, sum = "triangle_flow_delivery_duration_seconds count", "triangle_flow_delivery_duration_seconds sum"
		if after[count] != before[count]+1 || after[sum] != before[sum] {
			t.Errorf("%v deliveries more took %vs, want one of 0s", after[count]-before[count], after[sum]-before[sum])
		}
	})
}

// cutLog is a log whose subscriptions can be cut off for good.
type cutLog struct {
	eventlog.Log
	mu   sync.Mutex
	away bool
	cuts []context.CancelFunc
}

func (l *cutLog) SubscribeAll(ctx context.Context, o eventlog.AllOptions) (eventlog.Subscription, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return nil, errors.New("no more subscriptions")
	}
	ctx, cancel := context.WithCancel(ctx)
	l.cuts = append(l.cuts, cancel)
	return l.Log.SubscribeAll(ctx, o)
}

func (l *cutLog) set(away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = away
	for _, cut := range l.cuts {
		cut()
	}
	l.cuts = nil
}

func TestAMeterThatIsCutOffKnowsNothingAndBeginsAgain(t *testing.T) {
	inBubble(t, func(w *world) {
		log := &cutLog{Log: w.log}
		w.streams.Log = log
		w.set(flows.RealTime)
		w.start()
		w.produce("a")
		w.pass(time.Second)
		w.set(flows.Paused)
		w.quiet()
		w.produce("a")
		w.produce("b")
		w.pass(time.Minute)
		w.wantWaiting(2, time.Minute, "before")
		log.set(true)
		w.pass(10 * time.Second)
		if s := w.state(); s.Known || w.freshness() < time.Minute {
			t.Errorf("cut off the meter still says that %d wait, and the flow is %s stale", s.Lag, w.freshness())
		}
		if last := w.progress(); last[len(last)-1].Lag != nil {
			t.Errorf("cut off progress tells %v", last[len(last)-1])
		}
		w.produce("a")
		log.set(false)
		w.pass(10 * time.Second)
		w.wantWaiting(3, time.Minute+20*time.Second, "after")
		w.set(flows.RealTime)
		w.pass(10 * time.Second)
		w.wantWaiting(0, 0, "when all is taken in")
	})
}

// measured sums up what was told of a flow's freshness, and wants each stretch to
// have been told once, and to begin after the one before.
func (w *world) measured() (total, good time.Duration) {
	w.t.Helper()
	all, ids := told[*flowv1.FreshnessMeasured](w, flows.FreshnessStream(tested))
	once := map[uuid.UUID]bool{}
	var end time.Time
	for i, m := range all {
		if since := m.GetSince().AsTime(); since.Before(end) || once[ids[i]] {
			w.t.Errorf("the stretch since %v is told again: %v", since, m)
		}
		once[ids[i]] = true
		end = m.GetSince().AsTime().Add(m.GetTotal().AsDuration())
		total += m.GetTotal().AsDuration()
		good += m.GetGood().AsDuration()
	}
	return total, good
}

// wantMeasured wants a flow to have been measured for total, and to have been
// stale of it, give or take what lies between two looks.
func (w *world) wantMeasured(total, stale time.Duration, when string) {
	w.t.Helper()
	gotTotal, good := w.measured()
	const room = time.Minute
	if (gotTotal-total).Abs() > room || (gotTotal-good-stale).Abs() > room {
		w.t.Errorf("%s: stale for %s of %s, want %s of %s", when, gotTotal-good, gotTotal, stale, total)
	}
}

func TestFreshnessIsMeasuredByTheHourAcrossRestarts(t *testing.T) {
	inBubble(t, func(w *world) {
		w.set(flows.RealTime)
		lost := 0
		fault := func(stream string) error {
			if stream == flows.FreshnessStream(tested) && lost < 2 {
				lost++
				return errors.New("the answer to the append is lost")
			}
			return nil
		}
		w.appendFault.Store(&fault)
		for range 12 { // restarted every 20 minutes, for four hours
			w.start()
			w.produce("a")
			w.pass(20 * time.Minute)
			w.stop()
		}
		w.start()
		w.pass(time.Minute)
		w.wantMeasured(4*time.Hour, 0, "after four hours")
		all, _ := told[*flowv1.FreshnessMeasured](w, flows.FreshnessStream(tested))
		if len(all) > 6 || lost != 2 {
			t.Errorf("four hours and two epochs were told in %d events; %d answers were lost", len(all), lost)
		}
	})
}

func TestWhatAFlowIsStaleForIsSpentOfItsBudget(t *testing.T) {
	inBubble(t, func(w *world) {
		hold := make(chan struct{})
		w.poison = func(request string) error {
			if request == "stuck" {
				<-hold
			}
			return nil
		}
		w.set(flows.RealTime)
		w.start()
		w.pass(time.Hour)
		w.produce("stuck")
		w.pass(30 * time.Minute)
		close(hold)
		w.pass(31 * time.Minute)
		w.wantMeasured(2*time.Hour, 30*time.Minute, "after an intake that was stuck")

		w.stop() // nobody takes the flow in for three hours; for two of them an event waits
		w.pass(time.Hour)
		w.produce("a")
		w.pass(2 * time.Hour)
		w.start()
		w.pass(time.Hour)
		w.wantMeasured(6*time.Hour, 2*time.Hour+30*time.Minute, "after an outage")

		w.set(flows.Paused) // it is stale on purpose
		w.pass(time.Minute)
		before, _ := w.measured() // it is two minutes past
		w.produce("a")
		w.pass(12 * time.Hour)
		w.stop()
		w.start()
		w.pass(12 * time.Hour)
		if after, _ := w.measured(); after != before {
			t.Errorf("of a day for which it was paused %s was measured", after-before)
		}
		w.set(flows.Daily)
		w.pass(5 * time.Minute)
		w.produce("a")
		w.pass(20 * time.Hour) // the night's window is in it: a daily flow may wait for that
		w.wantMeasured(before+19*time.Hour+58*time.Minute, 2*time.Hour+30*time.Minute, "after a daily window")

		all, err := w.flows.Measured(t.Context(), tested)
		if err != nil {
			t.Fatal(err)
		}
		left, ok := flows.BudgetLeft(all, time.Now())
		if want := 1 - 150/40.32; !ok || math.Abs(left-want) > 0.1 {
			t.Errorf("%v of the budget is left (%v), want %v", left, ok, want)
		}
	})
}

// gathered returns each metric of the tested flow; of a histogram its sum and its
// count.
func gathered(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := family.GetName()
			for _, label := range metric.GetLabel() {
				if label.GetName() != "flow" {
					name += " " + label.GetName() + "=" + label.GetValue()
				} else if label.GetValue() != tested {
					t.Errorf("%s is of flow %s", name, label.GetValue())
				}
			}
			if h := metric.GetHistogram(); h != nil {
				values[name+" sum"], values[name+" count"] = h.GetSampleSum(), float64(h.GetSampleCount())
			} else {
				values[name] = metric.GetGauge().GetValue()
			}
		}
	}
	return values
}

func TestAFlowIsSeenInMetrics(t *testing.T) {
	inBubble(t, func(w *world) {
		registry := prometheus.NewRegistry()
		w.metrics = registry
		w.poison = func(request string) error {
			if request == "bad" {
				return flow.Unprocessable(errors.New("it is bad"))
			}
			return nil
		}
		w.start()
		w.quiet()
		w.produce("bad")
		w.produce("a")
		w.pass(time.Hour)
		want := map[string]float64{
			"triangle_flow_staleness_seconds":               3600,
			"triangle_flow_lag_events":                      2,
			"triangle_flow_parked_events":                   0,
			"triangle_flow_objective_staleness_seconds":     26 * 3600,
			"triangle_flow_objective_ratio":                 0.99,
			"triangle_flow_error_budget_left_ratio":         1,
			"triangle_flow_delivery_duration_seconds sum":   0,
			"triangle_flow_delivery_duration_seconds count": 0,
			"triangle_flow_info cadence=daily epoch=1":      1,
		}
		got := gathered(t, registry)
		maps.DeleteFunc(got, func(name string, _ float64) bool { // what is counted and of other histograms
			return strings.Contains(name, "parity") || strings.Contains(name, "cut_overs") || strings.Contains(name, "window") || strings.HasPrefix(name, "messaging")
		})
		if !maps.Equal(got, want) {
			t.Errorf("behind the closed gate: %v, want %v", got, want)
		}
		w.set(flows.RealTime)
		w.pass(time.Minute)
		got = gathered(t, registry)
		for name, want := range map[string]float64{
			"triangle_flow_staleness_seconds":               0,
			"triangle_flow_lag_events":                      0,
			"triangle_flow_parked_events":                   1,
			"triangle_flow_objective_staleness_seconds":     10,
			"triangle_flow_delivery_duration_seconds count": 2,
			"triangle_flow_info cadence=realtime epoch=2":   1,
		} {
			if is, ok := got[name]; !ok || is != want {
				t.Errorf("%s is %v (there: %v), want %v", name, is, ok, want)
			}
		}
		if sum := got["triangle_flow_delivery_duration_seconds sum"]; math.Abs(sum-2*3600) > 10 {
			t.Errorf("two events waited for an hour each, delivery says %vs", sum)
		}
		names := slices.Sorted(maps.Keys(got))
		if i := slices.IndexFunc(names, func(n string) bool { return strings.Contains(n, "epoch=1") }); i >= 0 {
			t.Errorf("%s is there still", names[i])
		}
		w.set(flows.Paused)
		w.pass(time.Minute)
		if is, ok := gathered(t, registry)["triangle_flow_objective_staleness_seconds"]; ok {
			t.Errorf("a paused flow may be stale for %vs", is)
		}
	})
}
