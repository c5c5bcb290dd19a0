package flow_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
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
	"github.com/triangle-suite/triangle/services/internal/flow/audit"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

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
	"nothing is on record of a cause, and there would be nothing to do about it": {
		plant: func(p planted) {
			p.mute(true)
			p.ids["r02"] = append(p.ids["r02"], p.produce("r02"))
			p.quiet()
			p.mute(false)
			p.content = func(int) bool { return true }
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
