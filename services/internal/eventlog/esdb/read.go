package esdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// readAhead is how many events of a read wait for their reader.
const readAhead = 16

// opener begins a read.
type opener func(context.Context, *esdb.Client) (*esdb.ReadStream, error)

// ReadStream implements eventlog.Log.
func (l *Log) ReadStream(
	ctx context.Context, stream string, direction eventlog.Direction, from uint64, limit int,
) iter.Seq2[eventlog.Event, error] {
	open := func(ctx context.Context, client *esdb.Client) (*esdb.ReadStream, error) {
		options := esdb.ReadStreamOptions{Direction: toDirection(direction), From: toStreamPosition(direction, from)}
		return client.ReadStream(ctx, stream, options, toCount(limit))
	}
	return l.read(ctx, opReadStream, stream, open, limit, func(eventlog.Event) bool { return true })
}

// ReadAll implements eventlog.Log. The store's reads take no filter; so system
// events are left out on this side, and the limit is kept here.
func (l *Log) ReadAll(
	ctx context.Context, direction eventlog.Direction, from *eventlog.Position, limit int,
) iter.Seq2[eventlog.Event, error] {
	if limit == 0 {
		return l.readAllPage(ctx, direction, from, unlimited, func(e eventlog.Event) bool { return !eventlog.IsSystem(e.Type) })
	}
	return func(yield func(eventlog.Event, error) bool) {
		l.readAllPages(ctx, direction, from, limit, yield)
	}
}

// systemEvents is how many system events a page of $all has room for, beside the
// events that were asked for.
const systemEvents = 16

// readAllPages reads at most limit events of $all that are not the system's. The
// store counts those too, so that it is asked page by page; asked without a
// bound it would send on until the call ends.
func (l *Log) readAllPages(
	ctx context.Context, direction eventlog.Direction, from *eventlog.Position, left int, yield func(eventlog.Event, error) bool,
) {
	again := false // whether a page begins with the last one's last event
	for {
		var last eventlog.Position
		got, page := 0, left+systemEvents
		for event, err := range l.readAllPage(ctx, direction, from, uint64(page), func(eventlog.Event) bool { return true }) {
			got++
			switch {
			case err != nil:
				yield(event, err)
				return
			case again && event.Position == *from:
				continue
			}
			last = event.Position
			if eventlog.IsSystem(event.Type) {
				continue
			}
			if left--; !yield(event, nil) || left == 0 {
				return
			}
		}
		if got < page {
			return
		}
		from, again = &last, direction == eventlog.Forward
	}
}

// readAllPage reads the wanted ones of at most page events of $all.
func (l *Log) readAllPage(
	ctx context.Context, direction eventlog.Direction, from *eventlog.Position, page uint64, wanted func(eventlog.Event) bool,
) iter.Seq2[eventlog.Event, error] {
	open := func(ctx context.Context, client *esdb.Client) (*esdb.ReadStream, error) {
		options := esdb.ReadAllOptions{Direction: toDirection(direction), From: toAllPosition(direction, from)}
		return client.ReadAll(ctx, options, page)
	}
	return l.read(ctx, opReadAll, "$all", open, 0, wanted)
}

// read yields the wanted events of what open opens, at most limit of them.
func (l *Log) read(
	ctx context.Context, op, name string, open opener, limit int, wanted func(eventlog.Event) bool,
) iter.Seq2[eventlog.Event, error] {
	return func(yield func(eventlog.Event, error) bool) {
		began := time.Now()
		r, err := l.begin(ctx, open)
		l.metrics.done(op, began, err)
		if err != nil {
			yield(eventlog.Event{}, fmt.Errorf("read %s: %w", name, err))
			return
		}
		defer r.close()
		for left := toCount(limit); left > 0; {
			event, err := r.next()
			if errors.Is(err, errEnd) {
				return
			}
			if err != nil {
				yield(eventlog.Event{}, fmt.Errorf("read %s: %w", name, err))
				return
			}
			if !wanted(event) {
				continue
			}
			left--
			l.metrics.delivered(op)
			if !yield(event, nil) {
				return
			}
		}
	}
}

// reading is a read under way.
//
// The client's stream is read by a goroutine of its own: after an outage the
// client's Recv can wait for the store to come back, whatever its context says
// (a defect), and then has to be left behind.
type reading struct {
	callers  context.Context
	ctx      context.Context // ends with the reading
	cancel   context.CancelFunc
	c        *connection
	items    chan item
	done     chan struct{} // closed when the goroutine has ended
	patience time.Duration
}

// item is what one Recv returned.
type item struct {
	event eventlog.Event
	err   error
}

// errEnd tells that a read has come to its regular end. It is not io.EOF, which
// an error of the client may wrap for worse reasons.
var errEnd = errors.New("the read has ended")

func (l *Log) begin(callers context.Context, open opener) (*reading, error) {
	if err := l.holder.enter(); err != nil {
		return nil, err
	}
	defer l.holder.calls.Done()
	if err := callers.Err(); err != nil {
		return nil, err
	}
	opening, stop := l.bound(callers)
	defer stop()
	pause := newBackOff(time.Second)
	for {
		r, err := l.beginOnce(callers, opening, open)
		if err == nil {
			return r, nil
		}
		if !isUnsent(err) || wait(opening, pause.NextBackOff()) != nil {
			return nil, explain(callers, err)
		}
	}
}

func (l *Log) beginOnce(callers, opening context.Context, open opener) (*reading, error) {
	c, err := l.holder.acquire(opening)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(l.holder.toLeader(callers))
	begun, err := await(opening, ctx, c, open.receiveFirst)
	if err != nil {
		cancel()
		c.release()
		return nil, err
	}
	r := &reading{
		callers: callers, ctx: ctx, cancel: cancel, c: c, patience: l.patience,
		items: make(chan item, readAhead), done: make(chan struct{}),
	}
	go r.pump(begun)
	return r, nil
}

// beginning is a read whose first item has come: only then is it known that the
// store takes part in it.
type beginning struct {
	stream *esdb.ReadStream
	first  item
}

func (open opener) receiveFirst(ctx context.Context, client *esdb.Client) (beginning, error) {
	stream, err := open(ctx, client)
	if err != nil {
		return beginning{}, err
	}
	first := receive(stream)
	if first.err != nil && !errors.Is(first.err, errEnd) {
		stream.Close()
		return beginning{}, first.err
	}
	return beginning{stream, first}, nil
}

// pump reads the stream ahead of the reader, until its end or the reading's. It
// has the connection's use, and gives it up.
func (r *reading) pump(begun beginning) {
	defer r.c.release()
	defer close(r.done)
	defer begun.stream.Close()
	for next := begun.first; ; next = receive(begun.stream) {
		select {
		case r.items <- next:
		case <-r.ctx.Done():
			return
		}
		if next.err != nil {
			return
		}
	}
}

func receive(stream *esdb.ReadStream) item {
	resolved, err := stream.Recv()
	switch {
	//nolint:errorlint // the regular end is the bare value; wrapped, it is a broken append's
	case err == io.EOF:
		return item{err: errEnd}
	case err != nil:
		return item{err: err}
	default:
		return item{event: fromRecorded(resolved.Event)}
	}
}

// next returns the next event, errEnd after the last, or why the read is broken.
func (r *reading) next() (eventlog.Event, error) {
	retired, late := r.c.retired, (<-chan time.Time)(nil)
	for {
		select {
		case next := <-r.items:
			if next.err == nil || errors.Is(next.err, errEnd) {
				return next.event, next.err
			}
			return eventlog.Event{}, explain(r.callers, r.c.judge(next.err))
		case <-r.ctx.Done():
			return eventlog.Event{}, explain(r.callers, r.ctx.Err())
		case <-retired: // an outage: what has not come soon may be stuck until its end
			retired, late = nil, time.After(r.patience)
		case <-late:
			return eventlog.Event{}, r.c.holder.unreachable()
		}
	}
}

// close ends the reading, and with it the client's stream.
func (r *reading) close() {
	r.cancel()
	r.c.suspect(r.done)
}

// ping reads one event, of whatever there is.
func ping(ctx context.Context, client *esdb.Client) error {
	stream, err := client.ReadAll(ctx, esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1)
	if err != nil {
		return err
	}
	defer stream.Close()
	if next := receive(stream); !errors.Is(next.err, errEnd) {
		return next.err
	}
	return nil
}
