package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/flow/audit"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
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
			w.heartbeat = 10 * time.Minute
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
			// What came later makes no fault of it: there was nothing to do then.
			w.content = nil
			p.answer("r00", 0, "somebody-else")
			w.content = func(answers int) bool { return answers == 1 }
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

// fault is something wrong that is planted in the consumer's database, in the log
// or in the consumer itself, and how an audit names it.
type fault struct {
	plant   func(p planted)
	kind    flowv1.AuditFaultKind
	events  uint64
	names   func(p planted) string // the event or the row; nil when there is none
	missing uint64
	twice   uint64
	late    uint64
}

// planted is a flow in real time with three events of r00, five of r01 and one of
// r02, all taken in.
type planted struct {
	*world
	ids map[string][]uuid.UUID
}

func (p planted) exec(statement string, args ...any) {
	p.t.Helper()
	err := p.db.Update(p.t.Context(), func(tx *projection.Tx) error {
		result, err := tx.Exec(p.t.Context(), statement, args...)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return errors.Join(fmt.Errorf("%d rows were changed, want one", n), err)
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// chainOf makes the chain of a request's events, in an order of their own.
func (p planted) chainOf(request string, order ...int) {
	p.t.Helper()
	var c audit.Chain
	for _, i := range order {
		c = c.Next(p.ids[request][i])
	}
	p.exec(`UPDATE flow_chain SET chain = ? WHERE flow = ? AND epoch = 2 AND key = ?`, c[:], tested, request)
}

// answer answers a request's event, as the reaction would.
func (p planted) answer(request string, i int, handler string) {
	p.t.Helper()
	cause := p.event(request, i)
	if _, err := decider.Handle(p.t.Context(), p.streams, decider.CauseOrigin(flows.Marketing, handler, cause, time.Now()),
		"answers-"+request, answers, func(int) ([]proto.Message, error) { return []proto.Message{&flowv1.MarkerSet{}}, nil }); err != nil {
		p.t.Fatal(err)
	}
}

// event reads a request's event from the log.
func (p planted) event(request string, i int) (found codec.Event) {
	p.t.Helper()
	for e, err := range p.log.ReadAll(p.t.Context(), eventlog.Forward, nil, 0) {
		if err != nil {
			p.t.Fatal(err)
		}
		if e.ID == p.ids[request][i] {
			if found, err = p.streams.Codec.Decode(p.t.Context(), e); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	return found
}

func (p planted) mute(muted bool) { p.muted.Store(muted) }

// audits returns the requests for audits.
func (w *world) audits() (ids []uuid.UUID) {
	w.t.Helper()
	for e, err := range w.log.ReadStream(w.t.Context(), flows.ControlStream(tested), eventlog.Forward, 0, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		if e.Type == "flow.AuditRequested" {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

func (w *world) encode(m proto.Message) eventlog.NewEvent {
	w.t.Helper()
	e, err := w.streams.Codec.Encode(w.t.Context(), m, uuid.New(), codec.Metadata{Source: codec.Source(flows.Marketing), Time: time.Now()})
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func eventOf(request string, i int) func(planted) string {
	return func(p planted) string { return p.ids[request][i].String() }
}

func rowOf(request string, i int) func(planted) string {
	return func(p planted) string { return fmt.Sprintf("seen event_id=%q", p.ids[request][i]) }
}

var faults = map[string]fault{
	"a row is deleted": {
		plant: func(p planted) { p.exec(`DELETE FROM seen WHERE event_id = ?`, p.ids["r01"][2].String()) },
		kind:  flowv1.AuditFaultKind_AUDIT_FAULT_KIND_ROW, names: rowOf("r01", 2),
	},
	"a value is changed": {
		plant: func(p planted) { p.exec(`UPDATE seen SET ordinal = 7 WHERE event_id = ?`, p.ids["r00"][1].String()) },
		kind:  flowv1.AuditFaultKind_AUDIT_FAULT_KIND_ROW, names: rowOf("r00", 1),
	},
	"an event has its effect twice": {
		plant: func(p planted) { p.exec(`UPDATE seen SET times = 2 WHERE event_id = ?`, p.ids["r02"][0].String()) },
		kind:  flowv1.AuditFaultKind_AUDIT_FAULT_KIND_ROW, names: rowOf("r02", 0),
	},
	"a row is there that nothing makes": {
		plant: func(p planted) {
			p.exec(`INSERT INTO seen (event_id, request, ordinal, times) VALUES ('x', 'r00', 9, 1)`)
		},
		kind: flowv1.AuditFaultKind_AUDIT_FAULT_KIND_ROW, names: func(planted) string { return `seen event_id="x"` },
	},
	"an event is passed over": {
		plant: func(p planted) { p.chainOf("r01", 0, 1, 3, 4) },
		kind:  flowv1.AuditFaultKind_AUDIT_FAULT_KIND_MISSING, names: eventOf("r01", 2), events: 1, missing: 1,
	},
	"the first events of a key are passed over": {
		plant: func(p planted) { p.chainOf("r01", 2, 3, 4) },
		kind:  flowv1.AuditFaultKind_AUDIT_FAULT_KIND_MISSING, names: eventOf("r01", 0), events: 2, missing: 2,
	},
	"a key is passed over": {
		plant: func(p planted) { p.exec(`DELETE FROM flow_chain WHERE flow = ? AND epoch = 2 AND key = 'r00'`, tested) },
		kind:  flowv1.AuditFaultKind_AUDIT_FAULT_KIND_MISSING, names: eventOf("r00", 0), events: 3, missing: 3,
	},
	"an event is applied twice": {
		plant: func(p planted) { p.chainOf("r01", 0, 1, 2, 2, 3, 4) },
		kind:  flowv1.AuditFaultKind_AUDIT_FAULT_KIND_TWICE, names: eventOf("r01", 2), events: 1, twice: 1,
	},
	"a batch is applied twice": {
		plant: func(p planted) { p.chainOf("r01", 0, 1, 2, 3, 4, 1, 2, 3, 4) },
		kind:  flowv1.AuditFaultKind_AUDIT_FAULT_KIND_TWICE, names: eventOf("r01", 1), events: 4, twice: 4,
	},
	"two events are swapped": {
		plant: func(p planted) { p.chainOf("r00", 1, 0, 2) },
		kind:  flowv1.AuditFaultKind_AUDIT_FAULT_KIND_OUT_OF_ORDER, names: eventOf("r00", 0), events: 1, late: 1,
	},
	"an event comes last": {
		plant: func(p planted) { p.chainOf("r01", 0, 2, 3, 4, 1) },
		kind:  flowv1.AuditFaultKind_AUDIT_FAULT_KIND_OUT_OF_ORDER, names: eventOf("r01", 1), events: 1, late: 1,
	},
	"nothing explains a chain": {
		plant: func(p planted) { p.chainOf("r01", 4, 3, 2, 1, 0, 0) },
		kind:  flowv1.AuditFaultKind_AUDIT_FAULT_KIND_UNEXPLAINED, names: eventOf("r01", 0), events: 5,
	},
	"a key is there that the log does not have": {
		plant: func(p planted) {
			p.exec(`INSERT INTO flow_chain (flow, epoch, key, chain) VALUES (?, 2, 'r99', ?)`, tested, []byte(strings.Repeat("x", 16)))
		},
		kind: flowv1.AuditFaultKind_AUDIT_FAULT_KIND_UNEXPLAINED,
	},
	"the checkpoint moves without effect": {
		plant: func(p planted) {
			p.stop()
			p.ids["r02"] = append(p.ids["r02"], p.produce("r02"))
			at := p.event("r02", 1).Position
			db, err := projection.Open(p.t.Context(), p.where, p.schema)
			if err != nil {
				p.t.Fatal(err)
			}
			p.db = db
			p.exec(`UPDATE flow_checkpoint SET commit_position = ?, prepare_position = ?, event_id = ?, taken = taken + 1 WHERE flow = ?`,
				at.Commit, at.Prepare, p.ids["r02"][1].String(), tested)
			if err := db.Close(); err != nil {
				p.t.Fatal(err)
			}
			p.start()
		},
		kind: flowv1.AuditFaultKind_AUDIT_FAULT_KIND_MISSING, names: eventOf("r02", 1), events: 1, missing: 1,
	},
	"an event is parked that the log does not have": {
		plant: func(p planted) {
			p.exec(`INSERT INTO flow_parked (flow, event_id, key, type, commit_position, prepare_position, parked_at, attempts, reason)
				VALUES (?, ?, 'r00', 'x', 1, 1, 1, 1, 'x')`, tested, uuid.NewString())
		},
		kind: flowv1.AuditFaultKind_AUDIT_FAULT_KIND_PARKED_UNKNOWN, events: 1,
	},
	"a parked event is forgotten": {
		plant: func(p planted) {
			worse := p.bad("r03")
			p.ids["r03"] = append(p.ids["r03"], p.produce("r03"))
			p.pass(time.Minute)
			p.exec(`DELETE FROM flow_parked WHERE flow = ? AND event_id = ?`, tested, p.ids["r03"][0].String())
			worse.on.Store(false)
		},
		kind: flowv1.AuditFaultKind_AUDIT_FAULT_KIND_ROW, names: rowOf("r03", 0),
	},
	"a cause is not answered": {
		plant: func(p planted) {
			p.mute(true)
			p.ids["r02"] = append(p.ids["r02"], p.produce("r02"))
			p.quiet()
			p.mute(false)
		},
		kind: flowv1.AuditFaultKind_AUDIT_FAULT_KIND_UNANSWERED, names: eventOf("r02", 1), events: 1,
	},
	"a cause is answered twice": {
		plant: func(p planted) {
			for e, err := range p.log.ReadStream(p.t.Context(), "answers-r01", eventlog.Forward, 2, 1) {
				if err != nil {
					p.t.Fatal(err)
				}
				p.append("answers-r01", e.NewEvent)
			}
		},
		kind: flowv1.AuditFaultKind_AUDIT_FAULT_KIND_ANSWERED_TWICE, names: eventOf("r01", 2), events: 1,
	},
	"a cause is answered after a later one": {
		plant: func(p planted) {
			p.mute(true)
			p.ids["r02"] = append(p.ids["r02"], p.produce("r02"))
			p.quiet()
			p.mute(false)
			p.ids["r02"] = append(p.ids["r02"], p.produce("r02"))
			p.quiet()
			p.answer("r02", 1, "test-answer")
		},
		kind: flowv1.AuditFaultKind_AUDIT_FAULT_KIND_ANSWERED_OUT_OF_ORDER, names: eventOf("r02", 1), events: 1,
	},
}

func TestAnAuditFindsWhatIsWrong(t *testing.T) {
	for what, f := range faults {
		on := inBubble
		if f.kind != flowv1.AuditFaultKind_AUDIT_FAULT_KIND_ROW && f.missing == 0 { // nothing that databases do in ways of their own
			on = func(t *testing.T, story func(*world)) { inBubbleOn(t, pgtest.Databases()["SQLite"], story) }
		}
		t.Run(what, func(t *testing.T) {
			on(t, func(w *world) {
				p := planted{w, map[string][]uuid.UUID{}}
				w.set(flows.RealTime)
				w.start()
				for request, n := range map[string]int{"r00": 3, "r01": 5, "r02": 1} {
					for range n {
						p.ids[request] = append(p.ids[request], w.produce(request))
					}
				}
				w.quiet()
				(auditor{w}).wantClosed(control.AuditOf{}, 9, 0, 0)
				f.plant(p)
				w.quiet()
				p.wantFault(f, (auditor{w}).audit(control.AuditOf{}))
			})
		})
	}
}

func (p planted) wantFault(want fault, found *control.Audit) {
	p.t.Helper()
	if found.Closes() {
		p.t.Fatal("the sum closes")
	}
	line := found.Lines[0]
	if line.Missing != want.missing || line.Twice != want.twice || line.OutOfOrder != want.late {
		p.t.Errorf("%d missing, %d twice, %d out of order; want %d, %d, %d", line.Missing, line.Twice, line.OutOfOrder, want.missing, want.twice, want.late)
	}
	i := slices.IndexFunc(found.Faults, func(f *flowv1.AuditFault) bool { return f.GetKind() == want.kind })
	if i < 0 {
		p.t.Fatalf("found %v, want %v", found.Faults, want.kind)
	}
	told := found.Faults[i]
	if want.names != nil && told.GetEventId() != want.names(p) && told.GetKey() != want.names(p) {
		p.t.Errorf("the fault names event %s, key %s; want %s", told.GetEventId(), told.GetKey(), want.names(p))
	}
	if told.GetEvents() != want.events {
		p.t.Errorf("the fault is of %d events, want %d", told.GetEvents(), want.events)
	}
	if len(found.Faults) > 3 {
		p.t.Errorf("one fault is told as %d: %v", len(found.Faults), found.Faults)
	}
	p.t.Log(found.Objections, found.Faults)
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
