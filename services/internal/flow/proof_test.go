package flow_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/control/migration"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
)

// manager does what the operator does to have a proof: it manages the flow, asks for
// an audit, and holds the answer against the log.
type manager struct {
	*world

	state *migration.State
}

func (w *world) manage() manager {
	w.t.Helper()
	entry, _ := flows.Find(tested)
	m := manager{w, migration.New(entry)}
	m.follow()
	m.record(&flowv1.MigrationPlanned{Flow: tested, Plan: "9f2c", By: "operator", Object: "shop/" + tested, ObjectUid: "one", Generation: 1})
	return m
}

func (m manager) follow() {
	m.t.Helper()
	if err := m.flows.FollowMigration(m.t.Context(), m.state, true); err != nil {
		m.t.Fatal(err)
	}
}

func (m manager) record(message proto.Message) {
	m.t.Helper()
	if err := m.flows.Record(m.t.Context(), m.state, "operator", message); err != nil {
		m.t.Fatal(err)
	}
	m.follow()
}

// prove returns what the operator finds.
func (m manager) prove() *flowv1.ParityJudged {
	m.t.Helper()
	m.follow()
	m.record(&flowv1.AuditRequested{Flow: tested, Epoch: m.state.Epoch, By: "operator"})
	m.quiet()
	m.follow()
	judged, err := m.flows.JudgeParity(m.t.Context(), m.state, "realtime")
	if err != nil {
		m.t.Fatal(err)
	}
	m.record(judged)
	if m.state.Proof == nil || m.state.Proof.GetRequestId() != judged.GetRequestId() {
		m.t.Errorf("the proof is %v, want the one that was judged", m.state.Proof)
	}
	return judged
}

// Whatever is wrong with what a consumer has taken in, the operator finds it.
func TestAFaultIsNoProof(t *testing.T) {
	for what, f := range faults {
		t.Run(what, func(t *testing.T) {
			inBubbleOn(t, pgtest.Databases()["SQLite"], func(w *world) {
				p := planted{w, map[string][]uuid.UUID{}}
				w.set(flows.RealTime)
				w.start()
				for request, n := range map[string]int{"r00": 3, "r01": 5, "r02": 1} {
					for range n {
						p.ids[request] = append(p.ids[request], w.produce(request))
					}
				}
				w.quiet()
				m := w.manage()
				sound := m.prove()
				if sound.GetOutcome() != flowv1.ParityOutcome_PARITY_OUTCOME_VERIFIED || sound.GetProduced() != 9 || sound.GetDelivered() != 9 ||
					sound.GetIntake() != flowv1.DigestMatch_DIGEST_MATCH_SAME || sound.GetContent() != flowv1.DigestMatch_DIGEST_MATCH_SAME {
					w.t.Fatalf("sound, it is no proof: %v", sound)
				}
				f.plant(p)
				w.quiet()
				found := m.prove()
				if found.GetOutcome() != flowv1.ParityOutcome_PARITY_OUTCOME_REFUTED || len(found.GetObjections()) == 0 {
					w.t.Errorf("at fault, it is a proof: %v", found)
				}
				if found.GetMissing() < f.missing || found.GetDuplicated() != f.twice && f.twice > 0 || found.GetReordered() != f.late && f.late > 0 {
					w.t.Errorf("found %d missing, %d duplicated, %d reordered; want %d, %d, %d",
						found.GetMissing(), found.GetDuplicated(), found.GetReordered(), f.missing, f.twice, f.late)
				}
			})
		})
	}
}

// A consumer that says that a window took in more than the log has is found out,
// whatever its rows say.
func TestAWindowThatLiesIsNoProof(t *testing.T) {
	inBubbleOn(t, pgtest.Databases()["SQLite"], func(w *world) {
		w.heartbeat = time.Minute
		w.set("0 * * * *")
		w.start()
		w.quiet()
		m := w.manage()
		for i := range 7 {
			w.produce(name("r", i%3))
		}
		w.pass(3 * time.Hour)
		if sound := m.prove(); sound.GetOutcome() != flowv1.ParityOutcome_PARITY_OUTCOME_VERIFIED || sound.GetProduced() != 7 {
			w.t.Fatalf("sound, it is no proof: %v", sound)
		}
		entries, err := w.flows.History(w.t.Context(), tested)
		if err != nil {
			w.t.Fatal(err)
		}
		var closed *flowv1.WindowClosed
		for _, e := range entries {
			if c, ok := e.Event.(*flowv1.WindowClosed); ok {
				closed = c
			}
		}
		lie := proto.CloneOf(closed)
		lie.Count += 3
		w.append(flows.ControlStream(tested)+":2", w.encode(lie))
		found := m.prove()
		if found.GetOutcome() != flowv1.ParityOutcome_PARITY_OUTCOME_REFUTED || found.GetUnexplained() != 1 || found.GetMissing() != 0 {
			w.t.Errorf("the lie is a proof: %v", found)
		}
		w.t.Log(found.GetObjections())
	})
}

// Who was deposed writes nothing, and is told.
func TestWhoWasDeposedWritesNothing(t *testing.T) {
	inBubbleOn(t, pgtest.Databases()["SQLite"], func(w *world) {
		w.start()
		w.quiet()
		m := w.manage()
		w.manage() // another one, that has read all there is
		events := len(w.history())
		err := m.flows.Record(w.t.Context(), m.state, "operator", &flowv1.CadenceRequested{Flow: tested, Epoch: 2, Cadence: flows.RealTime})
		if !errors.Is(err, control.ErrDeposed) {
			w.t.Errorf("got %v, want ErrDeposed", err)
		}
		if got := len(w.history()); got != events {
			w.t.Errorf("%d events, want %d", got, events)
		}
	})
}

// A consumer goes on, and is audited, when a newer operator has said what this build
// does not know.
func TestANewerOperatorsWordsStopNoConsumer(t *testing.T) {
	inBubbleOn(t, pgtest.Databases()["SQLite"], func(w *world) {
		w.set(flows.RealTime)
		m := w.manage()
		e := w.encode(&flowv1.MigrationHeld{})
		e.Type, e.Metadata = "flow.MigrationBlessed", []byte(strings.ReplaceAll(string(e.Metadata), "MigrationHeld", "MigrationBlessed"))
		w.append(flows.ControlStream(tested), e)
		board, err := flow.NewBoard(tested)
		if err != nil {
			w.t.Fatal(err)
		}
		ctx, end := context.WithCancel(w.t.Context())
		done := make(chan error, 1)
		go func() { done <- board.Run(ctx, w.streams) }()
		w.start()
		for i := range 5 {
			w.produce(name("r", i))
		}
		w.quiet()
		if proof := m.prove(); proof.GetOutcome() != flowv1.ParityOutcome_PARITY_OUTCOME_VERIFIED || proof.GetProduced() != 5 {
			w.t.Errorf("it is no proof: %v", proof)
		}
		if got := board.Cadence(tested); got != flows.RealTime {
			w.t.Errorf("the board knows %s, want real time", got)
		}
		if m.state.Unknown == "" {
			w.t.Error("what is not known is not remembered")
		}
		end()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
}
