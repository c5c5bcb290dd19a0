package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/tracing"
	"github.com/triangle-suite/triangle/services/watermillesdb"
)

// Partner is work with an outside partner, piece by piece. What waits for the
// partner is looked up in a table, which events fill, and what comes of it is an
// event again. In between each piece is a message on Watermill's Router:
//
//	table ─▶ Look ─▶ metrics ─▶ poison queue ─▶ circuit breaker ─▶ retry ─▶ throttle ─▶ time-out ─▶ Do ─▶ event ─▶ table
//	  ▲                              └─▶ topic poison-<name>
//	  └──────────── again, for what has no outcome yet
//
// Nothing is remembered in the message: should the process die, the table shows
// what has no outcome. So the Router's middleware may fail a piece in any way, and
// can't lose it; and Do decides itself, by what is on record, whether there is
// still something to do.
type Partner struct {
	// Name is what the work is called in logs, in readiness and in metrics.
	Name string
	// Look returns the pieces that wait, the first to be done first, and when to
	// look again at the latest. Beyond those that it returns otherwise there must be
	// room for so many that are passed over.
	Look func(ctx context.Context, passedOver int) (ids []string, again time.Time, err error)
	// Do does a piece, unless it has been done. An error that is neither of the
	// following says that the partner, or what else it takes, is away: then the
	// others wait as well.
	Do func(ctx context.Context, id string) error
	// Refused tells of an error that the partner is there, and does not take this
	// piece: it is tried again later, while others go on.
	Refused func(error) bool
	// Broken tells of an error that it is the piece's own fault, and that to repeat
	// it is in vain. Such a piece is put into the poison queue.
	Broken func(error) bool

	// Timeout bounds one try.
	Timeout time.Duration
	// Retries is how often a try is repeated at once when the partner is away.
	// What a partner may only be asked once has none.
	Retries int
	// PerSecond bounds how many tries there are; 0: nothing does.
	PerSecond int64
}

// Parts are what a partner's worker works with.
type Parts struct {
	DB *projection.DB
	// Log takes what goes into poison queues.
	Log eventlog.Log
	// Tracer is the service's; nil: tracing is not installed.
	Tracer *tracing.Tracer
	// Metrics takes the Router's metrics; nil: nobody sees them.
	Metrics prometheus.Registerer
	Now     func() time.Time
	Logger  *slog.Logger
}

// Worker returns the work of a partner.
func (p Partner) Worker(parts Parts) (*Worker, error) {
	poison, err := watermillesdb.NewPublisher(watermillesdb.Over(parts.Log), watermillesdb.PublisherConfig{})
	if err != nil {
		return nil, fmt.Errorf("the poison queue of %s: %w", p.Name, err)
	}
	l := &line{outcome: make(chan error, 1)}
	chain, err := p.chain(parts, poison, l)
	if err != nil {
		return nil, fmt.Errorf("the middleware of %s: %w", p.Name, err)
	}
	d := &desk{partner: p, now: parts.Now, line: l}
	return &Worker{Name: p.Name, Logger: parts.Logger, Work: func(ctx context.Context, tell Tell) error {
		return l.during(ctx, p.Name, chain, p.handle, func(ctx context.Context) error {
			return Rounds(parts.DB, d.round)(ctx, tell)
		})
	}}, nil
}

func (p Partner) handle(msg *message.Message) error {
	return p.Do(msg.Context(), msg.Metadata.Get(pieceKey))
}

// The pauses between two tries of a piece that the partner refuses.
const (
	firstRetry   = time.Second
	longestRetry = 5 * time.Minute
)

// desk knows what became of the pieces that still wait in the table.
type desk struct {
	partner Partner
	now     func() time.Time
	line    *line
	pieces  map[string]*piece
	failure error // the latest, for which the breaker may be open
}

// piece is one that was given to the partner.
type piece struct {
	done  bool // and the table does not show it yet
	err   error
	next  time.Time // when it is tried again; zero: not at all
	pause func() time.Duration
}

// round gives the partner what waits. It ends at once when the partner is away:
// to ask for each piece would only take long.
func (d *desk) round(ctx context.Context) (again time.Time, err error) {
	ids, again, err := d.partner.Look(ctx, len(d.pieces))
	if err != nil {
		return time.Time{}, err
	}
	d.forget(ids)
	for _, id := range ids {
		if known := d.pieces[id]; known != nil && (known.done || known.next.IsZero() || d.now().Before(known.next)) {
			continue
		}
		if err := d.give(ctx, id); err != nil {
			return time.Time{}, err
		}
	}
	return d.standing(again)
}

// give gives the partner one piece, and returns why the others have to wait.
func (d *desk) give(ctx context.Context, id string) error {
	err := d.line.offer(ctx, d.partner.Name, id)
	_, poisoned := errors.AsType[poisonedError](err)
	switch {
	case err == nil:
		d.pieces[id] = &piece{done: true}
	case poisoned:
		d.pieces[id] = &piece{err: fmt.Errorf("%s: %w", id, err)}
	case is(d.partner.Refused, err):
		d.postpone(id, err)
	case errors.Is(err, gobreaker.ErrOpenState) && d.failure != nil:
		return fmt.Errorf("%w, after: %w", err, d.failure)
	default:
		d.failure = fmt.Errorf("%s: %w", id, err)
		return d.failure
	}
	return nil
}

func (d *desk) postpone(id string, err error) {
	known := d.pieces[id]
	if known == nil {
		known = &piece{pause: newPause(firstRetry, longestRetry).NextBackOff}
		d.pieces[id] = known
	}
	known.next, known.err = d.now().Add(known.pause()), fmt.Errorf("%s: %w", id, err)
}

// forget drops what is known of pieces that wait no longer.
func (d *desk) forget(waiting []string) {
	still := map[string]*piece{}
	for _, id := range waiting {
		if known := d.pieces[id]; known != nil {
			still[id] = known
		}
	}
	d.pieces = still
}

// standing returns when a piece is tried again that was refused, and what to tell
// of those that stand aside. What stands aside for good is told as long as it
// does, and there is always a time to look again.
func (d *desk) standing(again time.Time) (time.Time, error) {
	var aside error
	for _, known := range d.pieces {
		if known.err == nil {
			continue
		}
		aside = known.err
		if !known.next.IsZero() && (again.IsZero() || known.next.Before(again)) {
			again = known.next
		}
	}
	if aside != nil && again.IsZero() {
		again = d.now().Add(longestRetry)
	}
	return again, aside
}

func is(kind func(error) bool, err error) bool { return kind != nil && kind(err) }
