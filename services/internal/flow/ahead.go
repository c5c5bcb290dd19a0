package flow

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
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
func (in *Intake) answerAhead(ctx context.Context, batch []eventlog.Event) (answered map[uuid.UUID]bool, err error) {
	if in.consumer.Project != nil || in.suspect.id != uuid.Nil || in.cp.parked > 0 {
		return nil, nil
	}
	queues, err := in.queueCauses(ctx, batch)
	if err != nil {
		return nil, err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(answersAtOnce)
	for _, causes := range queues {
		group.Go(func() error { return in.answerInOrder(groupCtx, causes) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	answered = map[uuid.UUID]bool{}
	for _, causes := range queues {
		for _, c := range causes {
			answered[c.ID] = true
		}
	}
	return answered, nil
}

// queueCauses returns the events of a batch in queues, each of which is answered
// in order: one queue, or one for each key.
func (in *Intake) queueCauses(ctx context.Context, batch []eventlog.Event) (map[string][]codec.Event, error) {
	for _, r := range in.consumer.Reactions {
		if r.Late.Do != RunLate {
			return nil, nil
		}
	}
	queues := map[string][]codec.Event{}
	for _, e := range batch {
		if !in.carries(e) {
			continue
		}
		event, err := in.streams.Codec.Decode(ctx, e)
		if err != nil {
			in.suspect.blame(e.ID, decodeError(err))
			return nil, fmt.Errorf("take in %s %s: %w", e.Type, e.ID, err)
		}
		var queue string
		if in.consumer.Answers == InOrderOfKeys {
			queue = keyOf(in.consumer.Flow, event)
		}
		queues[queue] = append(queues[queue], event)
	}
	return queues, nil
}

func (in *Intake) answerInOrder(ctx context.Context, causes []codec.Event) error {
	for _, event := range causes {
		for _, r := range in.consumer.Reactions {
			if !r.Takes(event) {
				continue
			}
			cause := Cause{Event: event, Origin: decider.CauseOrigin(in.consumer.Flow.To, r.Name, event, time.Now().UTC())}
			if err := r.Answer(ctx, in.db, cause); err != nil {
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
