package nba

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/arbitration"
	"github.com/triangle-suite/triangle/services/marketing/internal/complaint"
	"github.com/triangle-suite/triangle/services/marketing/internal/facts"
	"github.com/triangle-suite/triangle/services/marketing/internal/lead"
	"github.com/triangle-suite/triangle/services/marketing/internal/proposition"
)

// tables is a database with all that a decision reads, at a time.
type tables struct {
	t   testing.TB
	db  *projection.DB
	now time.Time
}

// own stands in for the service's schema of its own flow.
var own = projection.Schema{Name: "own", Version: 1, Tables: slices.Concat(proposition.Tables, arbitration.Tables, lead.Tables)}

func newTables(t testing.TB) *tables {
	t.Helper()
	db, err := projection.Open(t.Context(), pgtest.Somewhere(t), "marketing")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := db.Create(t.Context(), Schema, facts.Schema, complaint.Schema, own); err != nil {
		t.Fatal(err)
	}
	return &tables{t: t, db: db, now: time.Date(2026, 11, 2, 9, 30, 0, 0, time.UTC)}
}

// take projects events, each into the tables of its flow.
func (w *tables) take(events ...proto.Message) {
	w.t.Helper()
	err := w.db.Update(w.t.Context(), func(tx *projection.Tx) error {
		for _, m := range events {
			e := codec.Event{Message: m, Metadata: codec.Metadata{Time: w.now}}
			for _, project := range []func(*projection.Tx, codec.Event) error{
				func(tx *projection.Tx, e codec.Event) error { return facts.Project(w.t.Context(), tx, e) },
				func(tx *projection.Tx, e codec.Event) error { return complaint.Project(w.t.Context(), tx, e) },
				func(tx *projection.Tx, e codec.Event) error { return proposition.Project(w.t.Context(), tx, e) },
				func(tx *projection.Tx, e codec.Event) error { return arbitration.Project(w.t.Context(), tx, e) },
				func(tx *projection.Tx, e codec.Event) error { return lead.Project(w.t.Context(), tx, e) },
				func(tx *projection.Tx, e codec.Event) error { return Project(w.t.Context(), tx, e) },
			} {
				if err := project(tx, e); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// empty forgets all that was taken.
func (w *tables) empty() {
	w.t.Helper()
	err := w.db.Update(w.t.Context(), func(tx *projection.Tx) error {
		for _, table := range []string{
			"own_proposition", "own_arbitration", "own_lead", "own_learned", "complaint_request", "nba_contact", "nba_subject", "nba_interest", "nba_presented", "nba_presentation", "nba_answered", "nba_learned", "nba_approach", "nba_event",
		} {
			if _, err := tx.Exec(w.t.Context(), "DELETE FROM "+table); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// gather reads the features as a reaction would.
func (w *tables) gather(contact, customer string) gathered {
	w.t.Helper()
	g, err := gather(w.t.Context(), w.db, contact, customer, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

// stored sends an event through the codec and back, as the store would keep it.
func stored[M proto.Message](t testing.TB, m M) M {
	t.Helper()
	c, err := codec.New(keyring.Memory())
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.Encode(t.Context(), m, uuid.New(), codec.Metadata{Source: "/test", Time: time.Unix(0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	back, err := c.Decode(t.Context(), eventlog.Event{NewEvent: e})
	if err != nil {
		t.Fatal(err)
	}
	return back.Message.(M)
}

// firstModelsDecision is a decision as the first model wrote it.
func firstModelsDecision() *marketingv1.NextBestActionsDecided {
	propensity, priority := math.Float64frombits(0x3fd1745d1745d174), math.Float64frombits(0x4042847ae147ae14)
	return &marketingv1.NextBestActionsDecided{
		DecisionId: "d1", ContactId: "c1", CustomerId: "anna", ModelVersion: "1",
		ModelDigest: "ec6b1bf68525299b972891f27949ef1ef7107b565f33ad525d1db8387c586384",
		Features: `{"contact":"c1","customer":"anna","channel":"CHANNEL_WEBSITE","open_complaints":0,"orders":0,"spent_cents":0,"interests":[],` +
			`"propositions":[{"id":"a","purpose":"PURPOSE_SALES","topic":"t","value_cents":12345,"lever":1.1,"base_propensity":0.1,` +
			`"has_content":true,"presented":13,"accepted":7}]}`,
		Candidates: []*marketingv1.Candidate{{
			PropositionId: "a", Propensity: propensity, Context: 1, Value: 123.45, Lever: 1.1, Priority: priority,
		}},
		Actions: []*journeyv1.NextBestAction{{PropositionId: "a", Name: "A", Content: "content", Priority: priority}},
	}
}
