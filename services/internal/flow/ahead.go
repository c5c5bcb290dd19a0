package flow

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/triangle-suite/triangle/services/internal/decider"
)

// answersAtOnce is how many keys' causes are answered at a time. The store
// commits what comes together in one sync.
const answersAtOnce = 8

// answerAhead answers the causes of a batch before the transaction begins: then
// the database's one writer is not held while the store is waited for. It is for
// consumers that have no tables of their own, whose reactions so have nothing to
// read in the transaction.
//
// An answer that is given when the transaction then fails is found when the
// cause comes again. Whatever is out of the ordinary (a suspect, parked events,
// causes that may be late) is left to the transaction.
func (in *Intake) answerAhead(ctx context.Context, batch []*incoming) (answered map[uuid.UUID]bool, err error) {
	if in.consumer.Project != nil || in.suspect.id != uuid.Nil || in.cp.parked > 0 {
		return nil, nil
	}
	queues, err := in.queueCauses(batch)
	if err != nil {
		return nil, err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(answersAtOnce)
	for _, queue := range slices.Sorted(maps.Keys(queues)) {
		causes := queues[queue]
		group.Go(func() error { return in.answerInOrder(groupCtx, causes) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	answered = map[uuid.UUID]bool{}
	for _, causes := range queues {
		for _, c := range causes {
			answered[c.event.ID] = true
		}
	}
	return answered, nil
}

// queueCauses returns the events of a batch in queues, each of which is answered
// in order: one queue, or one for each key.
func (in *Intake) queueCauses(batch []*incoming) (map[string][]*incoming, error) {
	for _, r := range in.consumer.Reactions {
		if r.Late.Do != RunLate {
			return nil, nil
		}
	}
	queues := map[string][]*incoming{}
	for _, i := range batch {
		if !in.carries(i.Event) {
			continue
		}
		if i.err != nil {
			in.suspect.blame(i.Event.ID, i.err)
			return nil, fmt.Errorf("take in %s %s: %w", i.Event.Type, i.Event.ID, i.err)
		}
		var queue string
		if in.consumer.Answers == InOrderOfKeys {
			queue = i.key
		}
		queues[queue] = append(queues[queue], i)
	}
	return queues, nil
}

func (in *Intake) answerInOrder(ctx context.Context, causes []*incoming) error {
	for _, i := range causes {
		event, ctx := i.event, i.span.In(ctx)
		for _, r := range in.consumer.Reactions {
			if !r.Takes(event) {
				continue
			}
			cause := Cause{Event: event, Origin: decider.CauseOrigin(in.consumer.Flow.To, r.Name, event, time.Now().UTC())}
			if err := in.answer(ctx, in.db, r, cause); err != nil {
				return &causeError{id: event.ID, err: fmt.Errorf("take in %s %s: %s: %w", event.Type, event.ID, r.Name, err)}
			}
		}
	}
	return nil
}

// causeError names the cause that could not be answered.
type causeError struct {
	id  uuid.UUID
	err error
}

func (e *causeError) Error() string { return e.err.Error() }
func (e *causeError) Unwrap() error { return e.err }
