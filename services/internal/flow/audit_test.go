package flow_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
)

// auditor asks for audits of the flow. It knows the event store only.
type auditor struct{ *world }

func (a auditor) audit(of control.AuditOf) *control.Audit {
	a.t.Helper()
	found, err := a.flows.Audit(a.t.Context(), tested, of, "ada")
	if err != nil {
		a.t.Fatal(err)
	}
	return found
}

// wantClosed wants an audit to close, with these numbers of events.
func (a auditor) wantClosed(of control.AuditOf, produced, filtered, parked uint64) *control.Audit {
	a.t.Helper()
	found := a.audit(of)
	l := found.Lines[0]
	if !found.Closes() || l.Produced != produced || l.Filtered != filtered || l.Parked != parked || l.Delivered() != produced-filtered-parked {
		a.t.Errorf("got %d produced, %d delivered, %d filtered, %d parked, objections %q, faults %v; want %d produced, %d filtered, %d parked",
			l.Produced, l.Delivered(), l.Filtered, l.Parked, found.Objections, found.Faults, produced, filtered, parked)
	}
	return found
}

func TestAnAuditOfASoundFlowCloses(t *testing.T) {
	t.Run("in real time, after windows, and over cut-overs", func(t *testing.T) {
		inBubble(t, func(w *world) {
			a := auditor{w}
			w.heartbeat = time.Hour
			w.start()
			w.quiet()
			a.wantClosed(control.AuditOf{}, 0, 0, 0)
			for i := range 10 {
				w.produce(name("r", i%3))
			}
			if found := a.wantClosed(control.AuditOf{}, 0, 0, 0); found.Waiting != 10 {
				w.t.Errorf("%d events wait behind the gate, want 10", found.Waiting)
			}
			w.pass(25 * time.Hour)
			a.wantClosed(control.AuditOf{}, 10, 0, 0)
			w.set(flows.RealTime)
			for i := range 20 {
				w.produce(name("r", i%7))
			}
			w.quiet()
			a.wantClosed(control.AuditOf{}, 20, 0, 0)
			a.wantClosed(control.AuditOf{Epoch: 1}, 10, 0, 0)
			w.set(flows.Weekly)
			w.quiet()
			w.produce("r00")
			w.pass(8 * 24 * time.Hour)
			found := a.wantClosed(control.AuditOf{Epoch: 3}, 1, 0, 0)
			if c := found.Content; c.GetFolded() != 31 || c.GetRows() != 31 {
				w.t.Errorf("folded %d events into %d rows, want 31 and 31", c.GetFolded(), c.GetRows())
			}
			r := found.Reactions[0]
			if r.GetCauses() != 1 || r.GetAnswered() != 1 {
				w.t.Errorf("%d causes and %d answers, want one of each", r.GetCauses(), r.GetAnswered())
			}
			// The chains of the first epoch are kept no more: what was said when it closed
			// stands in for them.
			w.pass(time.Minute)
			if found = a.wantClosed(control.AuditOf{Epoch: 1}, 10, 0, 0); found.Epochs[0].Proof != control.ByWord {
				w.t.Errorf("epoch 1 was held against %v, want the consumer's word", found.Epochs[0].Proof)
			}
			everything := control.AuditOf{From: &control.Position{}}
			if found = a.wantClosed(everything, 31, 0, 0); len(found.Epochs) != 3 {
				w.t.Errorf("the whole log touches %d epochs, want 3", len(found.Epochs))
			}
			for i, want := range []control.AtEnd{control.Same, control.Same, control.NotCompared} {
				if got := found.Epochs[i].AtEnd; got != want {
					w.t.Errorf("the tables at the end of epoch %d compare %v, want %v", i+1, got, want)
				}
			}
		})
	})
	t.Run("with parked events, of which one is mended and one skipped", func(t *testing.T) {
		inParking(t, func(o operator, bad *switchOf, parked []uuid.UUID) {
			a := auditor(o)
			a.wantClosed(control.AuditOf{}, 4, 0, 3)
			o.skip(parked[2])
			a.wantClosed(control.AuditOf{}, 4, 1, 2)
			bad.on.Store(false)
			o.retry(parked[0])
			a.wantClosed(control.AuditOf{}, 4, 1, 0)
			o.stop()
			o.start()
			a.wantClosed(control.AuditOf{}, 4, 1, 0)
		})
	})
	t.Run("while late causes wait until none can replace them", func(t *testing.T) {
		inBubble(t, func(w *world) {
			w.late = flow.LatePolicy{Do: flow.CollapseLate, After: time.Hour}
			a := auditor{w}
			w.start()
			w.quiet()
			for range 3 {
				w.produce("r00")
			}
			w.pass(25 * time.Hour)
			found := a.wantClosed(control.AuditOf{}, 3, 0, 0)
			if r := found.Reactions[0]; r.GetCauses() != 3 || r.GetAnswered() != 3 {
				w.t.Errorf("%d causes, %d answered, want all 3: two declined and one answered", r.GetCauses(), r.GetAnswered())
			}
		})
	})
	t.Run("of a service that only reacts", func(t *testing.T) {
		inBubble(t, func(w *world) {
			w.noTables = true
			w.set(flows.RealTime)
			w.start()
			for i := range 30 {
				w.produce(name("r", i%4))
			}
			w.quiet()
			if found := (auditor{w}).wantClosed(control.AuditOf{}, 30, 0, 0); found.Content != nil || found.Reactions[0].GetAnswered() != 30 {
				w.t.Errorf("got content %v and %d answers, want none and 30", found.Content, found.Reactions[0].GetAnswered())
			}
		})
	})
	t.Run("of a reaction that finds nothing to do", func(t *testing.T) {
		inBubble(t, func(w *world) {
			w.content = func(answers int) bool { return answers == 1 }
			w.set(flows.RealTime)
			w.start()
			p := planted{w, map[string][]uuid.UUID{}}
			for range 3 {
				p.ids["r00"] = append(p.ids["r00"], w.produce("r00"))
			}
			w.quiet()
			want := func(answered, none uint64) {
				w.t.Helper()
				r := (auditor{w}).wantClosed(control.AuditOf{}, 3, 0, 0).Reactions[0]
				if r.GetCauses() != 3 || r.GetAnswered() != answered || r.GetNone() != none {
					w.t.Errorf("%d causes, %d answered, %d with nothing to do; want 3, %d and %d", r.GetCauses(), r.GetAnswered(), r.GetNone(), answered, none)
				}
			}
			want(1, 2)
			// What came later makes no fault of it: there was nothing to do then, and so it
			// stays when the causes come again.
			w.content = nil
			p.answer("r00", 0, "somebody-else")
			want(1, 2)
			for i := range 3 {
				p.answer("r00", i, "test-answer")
			}
			want(1, 2)
		})
	})
	t.Run("while events come and the cadence changes", func(t *testing.T) {
		inBubble(t, func(w *world) {
			a := auditor{w}
			w.start()
			w.quiet()
			ctx, end := context.WithCancel(w.t.Context())
			var producing sync.WaitGroup
			producing.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					w.produce(name("r", i%11))
					<-time.After(7 * time.Millisecond)
				}
			})
			for _, cadence := range []string{flows.RealTime, flows.Hourly, flows.RealTime} {
				w.set(cadence)
				for range 3 {
					if found := a.audit(control.AuditOf{From: &control.Position{}}); !found.Closes() {
						w.t.Errorf("at %s the sum does not close: %q %v", cadence, found.Objections, found.Faults)
					}
				}
			}
			end()
			producing.Wait()
		})
	})
	t.Run("when events are in the log twice", func(t *testing.T) {
		inBubble(t, func(w *world) {
			w.noTables = true // the rows of the tests count how often an event came
			w.set(flows.RealTime)
			w.start()
			id := w.produce("r00")
			w.produceAs(id, "r00")
			w.quiet()
			if r := (auditor{w}).wantClosed(control.AuditOf{}, 2, 0, 0).Reactions[0]; r.GetCauses() != 1 {
				w.t.Errorf("%d causes, want one: it is the same event", r.GetCauses())
			}
		})
	})
}

// A consumer that lies is found out: what it tells is held against the log.
func TestAnAuditDoesNotTakeTheConsumersWord(t *testing.T) {
	inBubble(t, func(w *world) {
		w.set(flows.RealTime)
		w.start()
		w.produce("r00")
		w.quiet()
		honest := (auditor{w}).audit(control.AuditOf{})
		w.stop() // and somebody else answers in its place
		go func() {
			for len(w.audits()) < 2 {
				<-time.After(time.Millisecond)
			}
			w.append(flows.ControlStream(tested), w.encode(&flowv1.AuditCompleted{
				Flow: tested, RequestId: w.audits()[1].String(), Outcome: flowv1.AuditOutcome_AUDIT_OUTCOME_COMPARED,
				Position: &flowv1.Position{Commit: honest.Position.Commit, Prepare: honest.Position.Prepare},
				Versions: []*flowv1.AuditedVersion{{Version: 1, Produced: 1}},
				Epochs:   []*flowv1.AuditedEpoch{{Epoch: 2, Keys: 1, ChainSum: strings.Repeat("0", 32)}},
				Reactions: []*flowv1.AuditedReaction{{
					Handler: "test-answer", Causes: 1, Answered: 1, AnsweredSum: strings.Repeat("0", 32),
				}},
			}))
		}()
		found := (auditor{w}).audit(control.AuditOf{})
		if len(found.Objections) != 2 {
			w.t.Errorf("objections %q, want one to the chains and one to the answers", found.Objections)
		}
	})
}

func TestWhatCantBeAuditedIsSaid(t *testing.T) {
	inBubble(t, func(w *world) {
		w.heartbeat = time.Minute
		w.start()
		w.quiet()
		w.produce("r00")
		w.pass(25 * time.Hour)
		at := w.rt.Intake(tested).State().Position
		w.produce("r00")
		w.quiet()
		var head control.Position
		for e, err := range w.log.ReadAll(w.t.Context(), eventlog.Backward, nil, 1) {
			if err != nil {
				w.t.Fatal(err)
			}
			head = e.Position
		}
		behind := control.Position{Commit: head.Commit + 1_000_000}
		for what, tc := range map[string]struct {
			flow string
			of   control.AuditOf
			want error
		}{
			"an unknown flow":          {flow: "request-state", want: control.ErrUnknownFlow},
			"a range not yet taken in": {of: control.AuditOf{To: &head}, want: control.ErrNotTakenIn},
			"a range behind the log":   {of: control.AuditOf{To: &behind}, want: control.ErrNotTakenIn},
			"a step back":              {of: control.AuditOf{From: &head, To: &at}, want: control.ErrAuditRange},
			"an epoch and a range":     {of: control.AuditOf{Epoch: 1, To: &at}, want: control.ErrAuditWhat},
			"an epoch to come":         {of: control.AuditOf{Epoch: 2}, want: control.ErrNoEpoch},
		} {
			if tc.flow == "" {
				tc.flow = tested
			}
			before := w.rt.Intake(tested).State()
			if _, err := w.flows.Audit(w.t.Context(), tc.flow, tc.of, "ada"); !errors.Is(err, tc.want) {
				w.t.Errorf("%s: got %v, want %v", what, err, tc.want)
			}
			if after := w.rt.Intake(tested).State(); after != before {
				w.t.Errorf("%s: the flow was %+v, and is %+v", what, before, after)
			}
		}
		(auditor{w}).wantClosed(control.AuditOf{To: &at}, 1, 0, 0)
	})
}

// A request that nobody has answered is answered when the service comes back, once.
func TestARequestForAnAuditSurvivesACrash(t *testing.T) {
	inBubble(t, func(w *world) {
		w.start()
		w.quiet()
		w.stop()
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		if _, err := w.flows.Audit(ctx, tested, control.AuditOf{}, "ada"); !errors.Is(err, context.DeadlineExceeded) {
			w.t.Fatalf("got %v, want no answer in time", err)
		}
		w.start()
		w.pass(time.Minute)
		w.stop()
		w.start()
		w.pass(time.Minute)
		(auditor{w}).wantClosed(control.AuditOf{}, 0, 0, 0)
		if got := strings.Join(w.history(), "\n"); strings.Count(got, "tables compared") != len(w.audits()) {
			w.t.Errorf("%d requests, and answers that differ from them in number:\n%s", len(w.audits()), got)
		}
	})
}
