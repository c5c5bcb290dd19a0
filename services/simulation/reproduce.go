package simulation

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
)

// fromTables are the reactions that decide by what the tables said at the time.
// Their answers record what that was, and are replayed out of it instead.
var fromTables = map[string]string{"decide-next-best-actions": "see checkDecisions"}

// reproduce has a reaction answer its cause once more, with the log as it was
// before it did. It wants the same bytes. A reaction that writes to several
// streams is judged by the last one: what it wrote to the others led there. What was
// sealed with a key that is destroyed can't be written again, nor can what a cause
// said that can't be opened any more.
func (w *world) reproduce(ctx context.Context, anew folded, r flow.Reaction, cause codec.Event, answers []codec.Event) {
	if fromTables[r.Name] != "" || len(answers) == 0 {
		return
	}
	stream := answers[len(answers)-1].Stream
	answers = slices.DeleteFunc(slices.Clone(answers), func(a codec.Event) bool { return a.Stream != stream })
	if cause.Erased || slices.ContainsFunc(answers, func(a codec.Event) bool { return a.Erased }) {
		return
	}
	p := &past{stream: stream, answers: answers}
	anew.view.past = p
	defer func() { anew.view.past = nil }()
	origin := decider.CauseOrigin(anew.name, r.Name, cause, answers[0].Metadata.Time)
	switch err := r.Answer(ctx, anew.db, flow.Cause{Event: cause, Origin: origin}); {
	case err != nil:
		w.diverge("%s does not answer %s %s once more: %v", r.Name, cause.Type, cause.ID, err)
	case !p.given:
		w.diverge("%s gives no answer in %s to %s %s any more", r.Name, stream, cause.Type, cause.ID)
	}
}

// past is the log as it was before an answer was given in a stream.
type past struct {
	stream  string
	answers []codec.Event // in the stream
	given   bool
}

var errOtherAnswer = errors.New("it is another answer now")

// append takes the answer, if it is the one that was recorded.
func (p *past) append(stream string, events []eventlog.NewEvent) (eventlog.Appended, error) {
	same := stream == p.stream && slices.EqualFunc(events, p.answers, func(is eventlog.NewEvent, was codec.Event) bool {
		return is.ID == was.ID && is.Type == was.Type && bytes.Equal(is.Data, was.Data) && bytes.Equal(is.Metadata, was.Event.Metadata)
	})
	if !same {
		return eventlog.Appended{}, errOtherAnswer
	}
	p.given = true
	last := p.answers[len(p.answers)-1]
	return eventlog.Appended{Revision: last.Revision, Position: last.Position}, nil
}

// shows tells whether an event was there.
func (p *past) shows(e eventlog.Event) bool {
	return e.Position.Compare(p.answers[0].Position) < 0
}

// ReadStream implements eventlog.Log.
func (v *view) ReadStream(ctx context.Context, stream string, direction eventlog.Direction, from uint64, limit int) iter.Seq2[eventlog.Event, error] {
	all := v.Log.ReadStream(ctx, stream, direction, from, limit)
	if v.past == nil {
		return all
	}
	return func(yield func(eventlog.Event, error) bool) {
		empty := true
		for e, err := range all {
			if err == nil && !v.past.shows(e) {
				continue
			}
			empty = false
			if !yield(e, err) {
				return
			}
		}
		if empty {
			yield(eventlog.Event{}, eventlog.ErrNoStream)
		}
	}
}
