package cli

import (
	"encoding/json"
	"time"

	"github.com/triangle-suite/triangle/services/story"
)

// trace is a story as --json shows it. Times are RFC 3339 in UTC, by the store's
// clock; durations are seconds. What is not known is not there.
type trace struct {
	Contact string       `json:"contact"`
	Events  []traceEvent `json:"events"`
	// From and To are the first and the last place of the log that was read.
	From tracePlace `json:"from"`
	To   tracePlace `json:"to"`
	Read int        `json:"read"`
	// Ended is the flag that ended reading before the log ended.
	Ended  string `json:"ended,omitempty"`
	Opaque int    `json:"events_without_readable_metadata,omitempty"`
}

type tracePlace struct {
	Commit  uint64 `json:"commit"`
	Prepare uint64 `json:"prepare"`
}

// traceEvent is an event, and in answers what it caused.
type traceEvent struct {
	ID       string          `json:"event_id"`
	Type     string          `json:"type"`
	Service  string          `json:"service,omitempty"`
	Handler  string          `json:"handler,omitempty"`
	Stream   string          `json:"stream"`
	Revision uint64          `json:"revision"`
	Position tracePlace      `json:"position"`
	At       time.Time       `json:"at"`
	After    *float64        `json:"seconds_after_cause,omitempty"`
	Trace    string          `json:"trace_id,omitempty"`
	Correl   string          `json:"correlation_id,omitempty"`
	Cause    string          `json:"causation_id,omitempty"`
	Origin   *traceOrigin    `json:"cause_elsewhere,omitempty"`
	Sealed   []string        `json:"sealed,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
	Problem  string          `json:"problem,omitempty"`
	Ways     []traceWay      `json:"flows,omitempty"`
	Answers  []traceEvent    `json:"answers,omitempty"`
}

type traceOrigin struct {
	Type   string    `json:"type"`
	Stream string    `json:"stream"`
	At     time.Time `json:"at"`
}

// traceWay is what has become of an event in a flow: state is waiting, taken in,
// parked or skipped.
type traceWay struct {
	Flow     string     `json:"flow"`
	Consumer string     `json:"consumer"`
	State    string     `json:"state"`
	At       *time.Time `json:"at,omitempty"`
	After    *float64   `json:"seconds_after,omitempty"`
	Window   string     `json:"window,omitempty"`
	Answered bool       `json:"answered"`
	Note     string     `json:"note,omitempty"`
	Due      *time.Time `json:"due,omitempty"`
}

func toTrace(told *story.Story) trace {
	return trace{
		Contact: told.Contact, Events: toTraceEvents(told.Events), From: toTracePlace(told.From), To: toTracePlace(told.To),
		Read: told.Read, Ended: told.Ended, Opaque: told.Opaque,
	}
}

func toTracePlace(p story.Position) tracePlace { return tracePlace{p.Commit, p.Prepare} }

func toTraceEvents(all []*story.Happening) []traceEvent {
	events := make([]traceEvent, 0, len(all))
	for _, h := range all {
		e := traceEvent{
			ID: h.ID, Type: h.Type, Service: h.Service, Handler: h.Handler, Stream: h.Stream, Revision: h.Revision, Position: toTracePlace(h.Position),
			At: h.At.UTC(), After: seconds(h.Hop), Trace: h.Trace, Correl: h.Correlation, Cause: h.Cause, Sealed: h.Sealed, Data: h.Data, Problem: h.Problem,
			Ways: toTraceWays(h),
		}
		if o := h.Origin; o != nil {
			e.Origin = &traceOrigin{o.Type, o.Stream, o.At.UTC()}
		}
		if len(h.Answers) > 0 {
			e.Answers = toTraceEvents(h.Answers)
		}
		events = append(events, e)
	}
	return events
}

func toTraceWays(h *story.Happening) (ways []traceWay) {
	for _, d := range h.Deliveries {
		w := traceWay{Flow: d.Flow, Consumer: string(d.To), State: string(d.State), At: known(d.At), Window: d.Window, Answered: d.Answered, Note: d.Note, Due: known(d.Due)}
		if w.At != nil {
			after := d.At.Sub(h.At)
			w.After = seconds(&after)
		}
		ways = append(ways, w)
	}
	return ways
}

func seconds(d *time.Duration) *float64 {
	if d == nil {
		return nil
	}
	return new(d.Seconds())
}

// known is a time, or nothing where it is not known.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}
