package simulation

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/marketing"
)

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// namespace is that of all derived ids. It stands here once more, and so does how
// they derive: a change of either would make answers that were given be given
// again.
var namespace = uuid.MustParse("b2a4d0a6-3f0e-5a53-9a5e-0c2a4f1f6d11")

// checkIDs wants each event's id to derive from its origin, its stream and its
// place among the answers there. So there is no second answer: it would have the
// id of the first.
func (w *world) checkIDs(l history) {
	for origin, answers := range l.byOrigin {
		if strings.HasPrefix(origin, "control:") || strings.HasPrefix(origin, "marker:") {
			continue // their ids are what their origins are made of
		}
		ordinal := map[string]int{}
		for _, e := range answers {
			want := uuid.NewSHA1(namespace, fmt.Appendf(nil, "event|%d|%s|%s", ordinal[e.Stream], e.Stream, origin))
			if e.ID != want {
				w.diverge("%s@%d (%s) of %s has the id %s, want %s", e.Stream, e.Revision, e.Type, origin, e.ID, want)
			}
			ordinal[e.Stream]++
		}
	}
}

// checkDecisions replays marketing's decisions out of what they recorded.
func (w *world) checkDecisions(l history) {
	for _, e := range l.all {
		decided, ok := e.Message.(*marketingv1.NextBestActionsDecided)
		if !ok {
			continue
		}
		// Without its key nobody reads the features that it rests on: see checkKeys.
		if err := marketing.VerifyDecision(decided); err != nil && !e.Erased {
			w.diverge("replay: %v", err)
		}
		origin := decider.Origin{Key: e.Metadata.Origin}
		if decided.GetSeed() != origin.Seed() || decided.GetDecisionId() != origin.NewID("decision").String() {
			w.diverge("decision %s does not derive its chance and its id from %s", decided.GetDecisionId(), e.Metadata.Origin)
		}
	}
}

// checkAnswers wants each cause that a service has taken in to be answered, if
// only by the record that there was nothing to do, and each answer to be what the
// reaction gives again.
func (w *world) checkAnswers(ctx context.Context, l history, anew folded) error {
	parked, err := texts(ctx, anew.db, `SELECT flow || ' ' || event_id FROM flow_parked`)
	if err != nil {
		return err
	}
	for _, e := range l.all {
		if a, ok := e.Message.(*flowv1.ParkingAnswered); ok && a.GetOutcome() == flowv1.ParkingOutcome_PARKING_OUTCOME_SKIPPED {
			parked = append(parked, a.GetFlow()+" "+a.GetEventId())
		}
	}
	for _, c := range anew.app.Flows.Consumers() {
		for _, cause := range l.all {
			if !slices.Contains(c.Flow.Types, cause.Type) || slices.Contains(parked, c.Flow.Name+" "+cause.ID.String()) {
				continue
			}
			for _, r := range c.Reactions {
				if r.Takes(cause) {
					w.checkAnswer(ctx, l, anew, c, r, cause)
				}
			}
		}
	}
	return nil
}

func (w *world) checkAnswer(ctx context.Context, l history, anew folded, c flow.Consumer, r flow.Reaction, cause codec.Event) {
	origin := "reaction:" + r.Name + ":" + cause.ID.String()
	answers := l.byOrigin[origin]
	if len(answers) == 0 {
		w.diverge("%s: %s has neither answered %s %s, nor recorded that there was nothing to do", c.Flow.Name, r.Name, cause.Type, cause.ID)
	}
	for _, a := range answers {
		if a.Metadata.CausationID != cause.ID.String() || a.Metadata.CausePosition != cause.Position {
			w.diverge("%s: %s@%d names another cause than that of its origin", c.Flow.Name, a.Stream, a.Revision)
		}
	}
	w.reproduce(ctx, anew, r, cause, answers)
}
