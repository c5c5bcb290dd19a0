package segment

import (
	"context"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/complaint"
	"github.com/triangle-suite/triangle/services/marketing/internal/facts"
	"github.com/triangle-suite/triangle/services/marketing/internal/lead"
	"github.com/triangle-suite/triangle/services/marketing/internal/nba"
	"github.com/triangle-suite/triangle/services/marketing/internal/proposition"
)

// tables is a database with all that rules ask.
type tables struct {
	t   testing.TB
	db  *projection.DB
	now time.Time
}

// own stands in for the service's schema of its own flow.
var own = projection.Schema{Name: "own", Version: 1, Tables: slices.Concat(proposition.Tables, Tables, lead.Tables)}

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
	if err := db.Create(t.Context(), nba.Schema, facts.Schema, complaint.Schema, own); err != nil {
		t.Fatal(err)
	}
	return &tables{t: t, db: db, now: time.Date(2026, 11, 2, 9, 30, 0, 0, time.UTC)}
}

// take projects events, each into the tables of its flow.
func (w *tables) take(events ...proto.Message) {
	w.t.Helper()
	err := w.db.Update(w.t.Context(), func(tx *projection.Tx) error {
		for _, m := range events {
			for _, project := range []func(context.Context, *projection.Tx, codec.Event) error{
				facts.Project, complaint.Project, nba.Project, proposition.Project, Project, lead.Project,
			} {
				if err := project(w.t.Context(), tx, codec.Event{Message: m, Metadata: codec.Metadata{Time: w.now}}); err != nil {
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
			"facts_customer", "complaint_request", "nba_contact", "nba_subject", "nba_interest", "nba_presented", "nba_presentation", "nba_answered",
			"nba_learned", "nba_approach", "nba_event",
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
