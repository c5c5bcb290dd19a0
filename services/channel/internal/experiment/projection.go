package experiment

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// OwnFlow is the channel's own events about experiments, and about what they are
// compared by, back to itself.
var OwnFlow = ownFlow()

func ownFlow() flows.Flow {
	f := flow.Own(flows.Channel, []string{
		"channel.ExperimentDefined", "channel.ExperimentEnded", "channel.VariantShown",
		"channel.PropositionPresented", "channel.PropositionAnswered", "channel.InterestShown", "channel.BannerClicked",
		"channel.CommercialEventRecorded", "channel.RequestSubmitted", "channel.ContactEnded",
	}, []string{"contact_id", "experiment_id"})
	f.Name += "-experiments"
	return f
}

// Schema is the tables of experiments. A visitor's contact is the one in which
// they first saw a variant.
var Schema = projection.Schema{Name: "experiment", Version: 1, Tables: []string{
	`CREATE TABLE experiment (experiment_id TEXT PRIMARY KEY, outcome TEXT NOT NULL, ended INTEGER NOT NULL, body TEXT NOT NULL)`,
	`CREATE TABLE experiment_variant (
		experiment_id TEXT NOT NULL, variant_id TEXT NOT NULL, exposed BIGINT NOT NULL, finished BIGINT NOT NULL, outcomes BIGINT NOT NULL,
		PRIMARY KEY (experiment_id, variant_id))`,
	`CREATE TABLE experiment_visitor (
		experiment_id TEXT NOT NULL, unit TEXT NOT NULL, variant_id TEXT NOT NULL, contact_id TEXT NOT NULL, outcome INTEGER NOT NULL,
		PRIMARY KEY (experiment_id, unit))`,
	`CREATE INDEX experiment_visitor_contact ON experiment_visitor (contact_id)`,
}}

// Project writes an event into the tables.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) (err error) {
	switch m := e.Message.(type) {
	case *channelv1.ExperimentDefined:
		err = projectDefined(ctx, tx, m)
	case *channelv1.ExperimentEnded:
		err = tx.Write(ctx, `UPDATE experiment SET ended = 1 WHERE experiment_id = ?`, m.GetExperimentId())
	case *channelv1.VariantShown:
		err = projectShown(ctx, tx, m)
	case *channelv1.ContactEnded:
		err = projectFinished(ctx, tx, m.GetContactId())
	default:
		err = projectOutcome(ctx, tx, e.Message)
	}
	if err != nil {
		return fmt.Errorf("write what an experiment came to: %w", err)
	}
	return nil
}

func projectDefined(ctx context.Context, tx *projection.Tx, m *channelv1.ExperimentDefined) error {
	body, err := codec.Canonical(message(m))
	if err != nil {
		return flow.Unprocessable(err)
	}
	if err := tx.Write(ctx, `INSERT INTO experiment (experiment_id, outcome, ended, body) VALUES (?, ?, 0, ?) ON CONFLICT DO NOTHING`,
		m.GetExperimentId(), key(m.GetOutcome()), string(body)); err != nil {
		return err
	}
	for _, v := range m.GetVariants() {
		if err := tx.Write(ctx, `INSERT INTO experiment_variant (experiment_id, variant_id, exposed, finished, outcomes)
			VALUES (?, ?, 0, 0, 0) ON CONFLICT DO NOTHING`, m.GetExperimentId(), v.GetVariantId()); err != nil {
			return err
		}
	}
	return nil
}

// projectShown counts a visitor who sees a variant for the first time. Who was
// assigned one while the experiment was being ended comes after its end in the
// log, and does not count.
func projectShown(ctx context.Context, tx *projection.Tx, m *channelv1.VariantShown) error {
	inserted, err := tx.Exec(ctx, `INSERT INTO experiment_visitor (experiment_id, unit, variant_id, contact_id, outcome)
		SELECT experiment_id, ?, ?, ?, 0 FROM experiment WHERE experiment_id = ? AND ended = 0 ON CONFLICT DO NOTHING`,
		m.GetUnit(), m.GetVariantId(), m.GetContactId(), m.GetExperimentId())
	if err != nil {
		return err
	}
	if n, err := inserted.RowsAffected(); err != nil || n == 0 {
		return err
	}
	return tx.Write(ctx, `UPDATE experiment_variant SET exposed = exposed + 1 WHERE experiment_id = ? AND variant_id = ?`,
		m.GetExperimentId(), m.GetVariantId())
}

// projectOutcome notes that the outcome has come about, after the variant was
// shown.
func projectOutcome(ctx context.Context, tx *projection.Tx, event proto.Message) error {
	contactID, outcomes := broughtAbout(event)
	for _, outcome := range outcomes {
		if err := tx.Write(ctx, `UPDATE experiment_visitor SET outcome = 1 WHERE contact_id = ?
			AND experiment_id IN (SELECT experiment_id FROM experiment WHERE outcome = ?)`, contactID, outcome); err != nil {
			return err
		}
	}
	return nil
}

// projectFinished counts the visitor of a contact that is over. A contact ends
// once, so each counts once.
func projectFinished(ctx context.Context, tx *projection.Tx, contactID string) error {
	return tx.Write(ctx, `UPDATE experiment_variant SET finished = finished + 1, outcomes = outcomes + (
			SELECT max(v.outcome) FROM experiment_visitor AS v WHERE v.contact_id = ? AND v.experiment_id = experiment_variant.experiment_id)
		WHERE (experiment_id, variant_id) IN (SELECT experiment_id, variant_id FROM experiment_visitor WHERE contact_id = ?)`, contactID, contactID)
}

// read returns experiments by their id: the one of that id, or all when it is
// empty.
func read(ctx context.Context, q projection.Querier, id string) ([]*channelv1.ExperimentResult, error) {
	tallies, err := readTallies(ctx, q, id)
	if err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, `SELECT body, ended FROM experiment WHERE ? = '' OR experiment_id = ? ORDER BY experiment_id`, id, id)
	if err != nil {
		return nil, err
	}
	return projection.Collect(rows, func(row projection.Scanner, r **channelv1.ExperimentResult) error {
		var body string
		var ended bool
		if err := row.Scan(&body, &ended); err != nil {
			return err
		}
		e := &channelv1.Experiment{}
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal([]byte(body), e); err != nil {
			return fmt.Errorf("read an experiment: %w", err)
		}
		*r = result(e, ended, tallies[e.GetExperimentId()])
		return nil
	})
}

func readTallies(ctx context.Context, q projection.Querier, id string) (map[string]map[string]Tally, error) {
	rows, err := q.Query(ctx, `SELECT experiment_id, variant_id, exposed, finished, outcomes FROM experiment_variant
		WHERE ? = '' OR experiment_id = ?`, id, id)
	if err != nil {
		return nil, err
	}
	type row struct {
		experiment, variant string
		Tally
	}
	all, err := projection.Collect(rows, func(scanner projection.Scanner, r *row) error {
		return scanner.Scan(&r.experiment, &r.variant, &r.Exposed, &r.Finished, &r.Outcomes)
	})
	tallies := map[string]map[string]Tally{}
	for _, r := range all {
		if tallies[r.experiment] == nil {
			tallies[r.experiment] = map[string]Tally{}
		}
		tallies[r.experiment][r.variant] = r.Tally
	}
	return tallies, err
}

// result is an experiment with what it came to.
func result(e *channelv1.Experiment, ended bool, byVariant map[string]Tally) *channelv1.ExperimentResult {
	r := &channelv1.ExperimentResult{Experiment: e, State: channelv1.ExperimentState_EXPERIMENT_STATE_RUNNING}
	if ended {
		r.State = channelv1.ExperimentState_EXPERIMENT_STATE_ENDED
	}
	tallies := make([]Tally, len(e.GetVariants()))
	for i, v := range e.GetVariants() {
		tallies[i] = byVariant[v.GetVariantId()]
	}
	differences := Compare(e, tallies)
	for i, v := range e.GetVariants() {
		one := &channelv1.VariantResult{
			VariantId: v.GetVariantId(), Exposed: tallies[i].Exposed, Finished: tallies[i].Finished,
			Outcomes: tallies[i].Outcomes, Difference: differences[i],
		}
		if one.GetFinished() > 0 {
			one.Rate = float64(one.GetOutcomes()) / float64(one.GetFinished())
		}
		r.Variants = append(r.Variants, one)
	}
	return r
}
