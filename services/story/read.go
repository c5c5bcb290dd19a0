package story

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

// Errors of Of.
var (
	// ErrID says that a text names nothing that a story could be told of.
	ErrID = errors.New("no id of a contact, of a request, of an event or of a trace: the first three are UUIDs, as the APIs answer them, of which the first 8 digits do where no other begins alike; the last has 32 hexadecimal digits")
	// ErrSeveral says that what an id begins with is not enough of it.
	ErrSeveral = errors.New("several contacts are meant: write more of the id")
	// ErrNotFound says that the store has nothing of that id.
	ErrNotFound = errors.New("the event store has no contact and no event of this id: look whether the id is whole, and whether this is its store (--eventstore)")
	// ErrNoTrace says that the store has no event of a trace.
	ErrNoTrace = errors.New("the event store has no event of this trace: a call that changed nothing leaves none")
	// ErrCustomer says that an id is a customer's, of whom there may be many contacts.
	ErrCustomer = errors.New("it is the id of a customer, and what is told is one contact: take the id that the channel's API has answered, or that of one of the customer's requests (GET /v1/customers/ID/requests of sales lists them)")
	// ErrNoContact says that an event is part of no contact's story.
	ErrNoContact = errors.New("it belongs to no contact")
)

// Reader reads stories from one store. It writes nothing.
type Reader struct {
	log   eventlog.Log
	codec *codec.Codec
	flows *control.Flows
	now   func() time.Time
}

// Options bound what is read.
type Options struct {
	// Until ends reading before the first event that was recorded after it; the zero
	// time: at the end that the log has when reading begins.
	Until time.Time
	// Limit ends reading after so many events; 0: there is no limit.
	Limit int
	// Seen, where it is given, is called after each event that was read.
	Seen func()
}

// Connect opens the store that the connection string names.
func Connect(connection string) (*Reader, error) {
	log, err := esdb.Open(connection)
	if err != nil {
		return nil, err
	}
	return newReader(log, time.Now)
}

func newReader(log eventlog.Log, now func() time.Time) (*Reader, error) {
	c, err := codec.New(nil) // what is personal stays sealed
	if err != nil {
		return nil, err
	}
	steered, err := control.New(log)
	if err != nil {
		return nil, err
	}
	return &Reader{log, c, steered, now}, nil
}

// Flows are the flows of the store.
func (r *Reader) Flows() *control.Flows { return r.flows }

// Close releases the connection.
func (r *Reader) Close() error { return r.log.Close() }

// Of tells the story of a contact: that of this id, or else that which a request, an
// event, or a trace, of this id belongs to. Of the first three the beginning of an id
// does. It fails with ErrID, ErrSeveral, ErrNotFound, ErrNoTrace, ErrNoContact and
// ErrCustomer.
func (r *Reader) Of(ctx context.Context, text string, o Options) (*Story, error) {
	id, err := canonical(text)
	if err != nil {
		return nil, err
	}
	if len(id) < traceDigits {
		if id, err = r.contactLike(ctx, id, o); err != nil {
			return nil, err
		}
	}
	from, err := r.first(ctx, id)
	if errors.Is(err, eventlog.ErrNoStream) {
		if id, err = r.contactOf(ctx, id, o); err == nil {
			from, err = r.first(ctx, id)
		}
	}
	if errors.Is(err, eventlog.ErrNoStream) {
		return nil, fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return r.tell(ctx, id, from, o)
}

// beginning is of a UUID that somebody has shortened, as this project does itself.
var beginning = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f-]*)?$`)

// canonical is an id as the store has it, or the beginning of one, of what somebody may
// have copied: from a log, in capitals, the name of a stream, or a whole traceparent.
func canonical(text string) (string, error) {
	id := strings.ToLower(strings.TrimSpace(text))
	if sc := (tracing.Origin{TraceParent: id}).SpanContext(); sc.IsValid() {
		return sc.TraceID().String(), nil
	}
	for _, kind := range told {
		id = strings.TrimPrefix(id, kind)
	}
	parsed, err := uuid.Parse(id)
	switch {
	case err == nil && len(id) != traceDigits:
		return parsed.String(), nil
	case err == nil || len(id) < traceDigits && beginning.MatchString(id):
		return id, nil
	default:
		return "", fmt.Errorf("%q is %w", text, ErrID)
	}
}

// first is where a contact begins. It fails with eventlog.ErrNoStream.
func (r *Reader) first(ctx context.Context, contact string) (Position, error) {
	for e, err := range r.log.ReadStream(ctx, contactStream(contact), eventlog.Forward, 0, 1) {
		if err != nil {
			return Position{}, fmt.Errorf("read contact %s: %w", contact, err)
		}
		return e.Position, nil
	}
	return Position{}, fmt.Errorf("contact %s: %w", contact, eventlog.ErrNoStream)
}

// tell reads the log from the contact's first event on.
func (r *Reader) tell(ctx context.Context, contact string, from Position, o Options) (*Story, error) {
	f := newFold(r.codec, contact)
	ended, err := r.each(ctx, from, o, func(e eventlog.Event) bool {
		f.see(e)
		return true
	})
	if err != nil {
		return nil, err
	}
	f.story.Ended = ended
	if err := r.settle(ctx, f); err != nil {
		return nil, err
	}
	return &f.story, r.origins(ctx, f.story.Events, f.known)
}

// each calls do with the events of the log from a place on, until do has seen enough
// or the log ends: where it ended when reading began. It tells why it ended before.
func (r *Reader) each(ctx context.Context, from Position, o Options, do func(eventlog.Event) bool) (ended string, err error) {
	end, err := r.end(ctx)
	if err != nil {
		return "", err
	}
	read := 0
	for e, err := range r.log.ReadAll(ctx, eventlog.Forward, &from, 0) {
		switch {
		case err != nil:
			return "", fmt.Errorf("read the log: %w", err)
		case end.Compare(e.Position) < 0:
			return "", nil
		case !o.Until.IsZero() && e.Created.After(o.Until):
			return "--until", nil
		case o.Limit > 0 && read == o.Limit:
			return "--limit", nil
		}
		read++
		if o.Seen != nil {
			o.Seen()
		}
		if !do(e) {
			return "", nil
		}
	}
	return "", nil
}

func (r *Reader) end(ctx context.Context) (Position, error) {
	for e, err := range r.log.ReadAll(ctx, eventlog.Backward, nil, 1) {
		if err != nil {
			return Position{}, fmt.Errorf("look where the log ends: %w", err)
		}
		return e.Position, nil
	}
	return Position{}, nil
}

// settle asks the flows where they are, unless reading ended before the log did.
func (r *Reader) settle(ctx context.Context, f *fold) error {
	if f.story.Ended != "" {
		return nil
	}
	states := map[string]control.State{}
	for name := range f.ways.all {
		if _, ok := flows.Find(name); !ok || !f.ways.waits(name) {
			continue
		}
		state, err := r.flows.Get(ctx, name)
		if codec.IsFault(err) {
			f.ways.unread(name)
			continue
		}
		if err != nil {
			return err
		}
		states[name] = state
	}
	f.ways.settle(states, r.now())
	return nil
}

// origins looks up the causes that are no part of the story, where the answers say
// that they stand.
func (r *Reader) origins(ctx context.Context, all []*Happening, known map[string]*Happening) error {
	for _, h := range all {
		if h.Cause == "" || known[h.Cause] != nil || h.causePosition == (Position{}) {
			continue
		}
		e, err := r.at(ctx, h.causePosition)
		if err != nil {
			return err
		}
		if e.ID.String() != h.Cause {
			continue // the store has it no more
		}
		h.Origin = &Elsewhere{ID: h.Cause, Type: e.Type, Stream: e.Stream, At: e.Created}
		hop := h.At.Sub(e.Created)
		h.Hop = &hop
	}
	return nil
}

// at reads the event at a place; the zero Event when there is none any more.
func (r *Reader) at(ctx context.Context, place Position) (eventlog.Event, error) {
	for e, err := range r.log.ReadAll(ctx, eventlog.Forward, &place, 1) {
		if err != nil {
			return e, fmt.Errorf("read the cause at %s: %w", place, err)
		}
		if e.Position == place {
			return e, nil
		}
	}
	return eventlog.Event{}, nil
}
