package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// fold projects a flow's events once more, from the log and into tables that
// nobody uses yet. It asks nothing of what the intake has noted, and answers no
// cause.
type fold struct {
	consumer Consumer
	streams  *decider.Streams
	// takes tells which events of the log belong to the flow; what is parked, or
	// was skipped, does not.
	takes func(eventlog.Event) bool
	// after is where to begin: what stands there has been projected.
	after eventlog.Position
	// until is the last place in the log to look at: a checkpoint's, or a marker's.
	// An event stands there.
	until eventlog.Position
}

// foldedAtOnce bounds a transaction. Nobody waits for it.
const foldedAtOnce = mostAtOnce

// into projects into db, whose tables it makes where they are not there, and
// returns how many events it has projected.
func (f fold) into(ctx context.Context, db *projection.DB) (folded uint64, err error) {
	if err := db.Create(ctx, f.consumer.Schema); err != nil {
		return 0, fmt.Errorf("make the tables to fold %s into: %w", f.consumer.Flow.Name, err)
	}
	err = f.inBatches(ctx, func(batch foldedBatch) error {
		err := db.UpdateQuietly(ctx, func(tx *projection.Tx) error { return f.project(ctx, tx, batch.events) })
		if err == nil {
			folded += uint64(len(batch.events))
		}
		return err
	})
	return folded, err
}

func (f fold) project(ctx context.Context, tx *projection.Tx, batch []codec.Event) error {
	for _, event := range batch {
		if err := f.consumer.Project(ctx, tx, event); err != nil {
			return fmt.Errorf("fold %s %s: %w", event.Type, event.ID, err)
		}
	}
	return nil
}

// foldedBatch is events of the flow, in the order of the log.
type foldedBatch struct {
	events []codec.Event
	until  eventlog.Position // all before it have been handed out, with this batch
}

// batchesAhead is how many batches are decoded while one is projected.
const batchesAhead = 2

// inBatches hands out the flow's events, decoded. While a batch is worked on the
// next ones are read and decoded.
func (f fold) inBatches(ctx context.Context, do func(foldedBatch) error) error {
	if f.until.Compare(f.after) <= 0 {
		return nil // there is nothing in between
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	decoded, ended := make(chan foldedBatch, batchesAhead), make(chan error, 1)
	go func() {
		defer close(decoded)
		ended <- f.decode(ctx, decoded)
	}()
	for batch := range decoded {
		if err := do(batch); err != nil {
			cancel()
			return errors.Join(err, unless(<-ended, context.Canceled))
		}
	}
	return <-ended
}

func unless(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

func (f fold) decode(ctx context.Context, into chan<- foldedBatch) error {
	var batch foldedBatch
	flush := func() error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case into <- batch:
			batch = foldedBatch{}
			return nil
		}
	}
	err := f.each(ctx, func(e eventlog.Event) error {
		event, err := f.streams.Codec.Decode(ctx, e)
		if err != nil {
			return fmt.Errorf("fold %s %s: %w", e.Type, e.ID, err)
		}
		batch.events, batch.until = append(batch.events, event), e.Position
		if len(batch.events) < foldedAtOnce {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	batch.until = f.until
	return flush()
}

// each calls do with the flow's events up to until, in the order of the log.
func (f fold) each(ctx context.Context, do func(eventlog.Event) error) error {
	if f.until.Compare(f.after) <= 0 {
		return nil // there is nothing in between
	}
	filter, err := f.filter(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sub, err := f.streams.Log.SubscribeAll(ctx, eventlog.AllOptions{After: f.after, Filter: filter})
	if err != nil {
		return fmt.Errorf("read %s again: %w", f.consumer.Flow.Name, err)
	}
	defer sub.Close()
	for m := range sub.Messages() {
		if m.Kind != eventlog.KindEvent {
			continue // what it carries has been looked at; only an event ends a fold
		}
		place := m.Event.Position.Compare(f.until)
		if place > 0 {
			return f.foreign()
		}
		if f.takes(m.Event) {
			if err := do(m.Event); err != nil {
				return err
			}
		}
		if place == 0 {
			return nil
		}
	}
	return fmt.Errorf("read %s again: %w", f.consumer.Flow.Name, sub.Err())
}

// filter lets through what the flow's intakes look at, and the last event. Another
// build may have looked at it, of a flow that had other types.
func (f fold) filter(ctx context.Context) (eventlog.Filter, error) {
	filter := filterOf(f.consumer.Flow)
	for e, err := range f.streams.Log.ReadAll(ctx, eventlog.Forward, &f.until, 1) {
		if err != nil {
			return filter, fmt.Errorf("look up the last event to read of %s: %w", f.consumer.Flow.Name, err)
		}
		if e.Position == f.until {
			filter.TypePrefixes = append(filter.TypePrefixes, e.Type)
			return filter, nil
		}
	}
	return filter, f.foreign()
}

func (f fold) foreign() error {
	return fmt.Errorf("no event stands at %s, up to which %s is read again: %w", f.until, f.consumer.Flow.Name, ErrForeignStore)
}
