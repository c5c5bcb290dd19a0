package flow

import (
	"context"

	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/job"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

// incoming is a message of the log, with what was read of it ahead of its turn.
type incoming struct {
	eventlog.Message
	event codec.Event // where the message is an event of the flow's types
	key   string      // its key; its stream when it can't be read
	err   error       // why it can't
	span  tracing.Span
}

// readAhead decodes what comes over a subscription, in order, while what came
// before is being taken in: one is work for the processor, the other waits for
// the database. The queue ends when the subscription, or ctx, has ended.
func (in *Intake) readAhead(ctx context.Context, sub eventlog.Subscription) *queue {
	q := newQueue()
	go func() {
		defer q.end()
		ctx := job.Named(ctx, "reading "+in.consumer.Flow.Name)
		for m := range sub.Messages() {
			if !q.put(ctx, in.readBurst(ctx, m, sub.Messages())) {
				return
			}
		}
	}()
	return q
}

// readBurst reads a message, and those that are there behind it.
func (in *Intake) readBurst(ctx context.Context, m eventlog.Message, behind <-chan eventlog.Message) []*incoming {
	burst := []*incoming{in.read(ctx, m)}
	for len(burst) < burstMax {
		select {
		case m, ok := <-behind:
			if !ok {
				return burst
			}
			burst = append(burst, in.read(ctx, m))
		default:
			return burst
		}
	}
	return burst
}

func (in *Intake) read(ctx context.Context, m eventlog.Message) *incoming {
	i := &incoming{Message: m}
	if m.Kind != eventlog.KindEvent || !in.types[m.Event.Type] {
		return i
	}
	if i.event, i.err = in.streams.Codec.Decode(ctx, m.Event); i.err != nil {
		i.key, i.err = projection.Storable(m.Event.Stream), decodeError(i.err)
	} else {
		i.key = keyOf(in.consumer.Flow, i.event)
	}
	return i
}

// keysOf returns the keys of the flow's events in a batch.
func (in *Intake) keysOf(batch []*incoming) []string {
	keys := make([]string, 0, len(batch))
	for _, i := range batch {
		if in.carries(i.Event) {
			keys = append(keys, i.key)
		}
	}
	return keys
}
