package flow

import (
	"context"
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
	// after is the place up to which db holds the events already; zero: none.
	after eventlog.Position
	// until is the last place in the log to look at: a checkpoint's, or a marker's.
	// An event stands there that the flow's intakes look at.
	until eventlog.Position
}

// foldedAtOnce bounds a transaction.
const foldedAtOnce = 1000

// into projects into db, whose tables it makes where they are not there, and
// returns how many events it has projected.
func (f fold) into(ctx context.Context, db *projection.DB) (folded uint64, err error) {
	if err := db.Create(ctx, f.consumer.Schema); err != nil {
		return 0, fmt.Errorf("make the tables to fold %s into: %w", f.consumer.Flow.Name, err)
	}
	var batch []codec.Event
	flush := func() error {
		err := db.UpdateQuietly(ctx, func(tx *projection.Tx) error { return f.project(ctx, tx, batch) })
		folded += uint64(len(batch))
		batch = batch[:0]
		return err
	}
	err = f.each(ctx, func(e eventlog.Event) error {
		event, err := f.streams.Codec.Decode(ctx, e)
		if err != nil {
			return fmt.Errorf("fold %s %s: %w", e.Type, e.ID, err)
		}
		if batch = append(batch, event); len(batch) < foldedAtOnce {
			return nil
		}
		return flush()
	})
	if err != nil {
		return folded, err
	}
	return folded, flush()
}

func (f fold) project(ctx context.Context, tx *projection.Tx, batch []codec.Event) error {
	for _, event := range batch {
		if err := f.consumer.Project(ctx, tx, event); err != nil {
			return fmt.Errorf("fold %s %s: %w", event.Type, event.ID, err)
		}
	}
	return nil
}

// each calls do with the flow's events up to until, in the order of the log.
func (f fold) each(ctx context.Context, do func(eventlog.Event) error) error {
	if f.until.Compare(f.after) <= 0 {
		return nil // nothing has been taken in
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sub, err := f.streams.Log.SubscribeAll(ctx, eventlog.AllOptions{After: f.after, Filter: filterOf(f.consumer.Flow)})
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
			return fmt.Errorf("no event stands at %s, up to which %s is read again: %w", f.until, f.consumer.Flow.Name, ErrForeignStore)
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
