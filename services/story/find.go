package story

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// traceDigits is how many digits the id of a trace has; a UUID has dashes, too.
const traceDigits = 32

// contactOf returns the contact whose story a request, an event, or the first event of
// a trace, belongs to. The store has no index of the latter two, so that the log is read
// from its start.
func (r *Reader) contactOf(ctx context.Context, id string, o Options) (contact string, err error) {
	if contact, err = r.contactIn(ctx, id); contact != "" || err != nil {
		return contact, err
	}
	wanted, none := byID(id), ErrNotFound
	if len(id) == traceDigits {
		wanted, none = byTrace(id), ErrNoTrace
	}
	var found bool
	var failed error
	ended, err := r.each(ctx, Position{}, o, func(e eventlog.Event) bool {
		if !wanted(e) {
			return true
		}
		found = true
		contact, failed = r.contactBehind(ctx, e)
		return contact == "" && failed == nil
	})
	switch {
	case err != nil:
		return "", err
	case failed != nil:
		return "", failed
	case !found:
		return "", missing(id, none, ended)
	case contact == "":
		return "", fmt.Errorf("%s: %w", id, ErrNoContact)
	}
	return contact, nil
}

// told are the streams of which a story can be told, by what their names begin with.
var told = []string{contactStream(""), "request-"}

// contactLike returns the contact whose id begins so, or that of the request, or of the
// event, whose id does. All of the log is read: there may be others.
func (r *Reader) contactLike(ctx context.Context, begins string, o Options) (contact string, err error) {
	found := map[string]bool{}
	var failed error
	ended, err := r.each(ctx, Position{}, o, func(e eventlog.Event) bool {
		if !isLike(e, begins) {
			return true
		}
		if contact, failed = r.contactBehind(ctx, e); contact != "" {
			found[contact] = true
		}
		return failed == nil
	})
	all := slices.Sorted(maps.Keys(found))
	switch {
	case err != nil || failed != nil:
		return "", cmp.Or(err, failed)
	case len(all) == 0:
		return "", missing(begins+"…", ErrNotFound, ended)
	case len(all) > 1:
		return "", fmt.Errorf("%s…: %w, as of %s or %s", begins, ErrSeveral, all[0], all[1])
	}
	return all[0], nil
}

// isLike tells whether an event, or what its stream is about, has an id that begins so.
func isLike(e eventlog.Event, begins string) bool {
	return strings.HasPrefix(e.ID.String(), begins) ||
		slices.ContainsFunc(told, func(kind string) bool { return strings.HasPrefix(e.Stream, kind+begins) })
}

// contactIn returns the contact behind what has a stream of its own; empty when the id
// is of no such thing.
func (r *Reader) contactIn(ctx context.Context, id string) (contact string, err error) {
	for _, kind := range []string{"request-", "customer-"} {
		for e, err := range r.log.ReadStream(ctx, kind+id, eventlog.Forward, 0, 1) {
			switch {
			case errors.Is(err, eventlog.ErrNoStream):
			case err != nil:
				return "", fmt.Errorf("look what %s is: %w", id, err)
			case kind == "customer-":
				return "", fmt.Errorf("%s: %w", id, ErrCustomer)
			default:
				return r.contactBehind(ctx, e)
			}
		}
	}
	return "", nil
}

// missing says that there is no such thing, as far as was read.
func missing(id string, none error, ended string) error {
	if ended != "" {
		return fmt.Errorf("%s was not found before reading ended at %s: %w", id, ended, none)
	}
	return fmt.Errorf("%s: %w", id, none)
}

func byID(text string) func(eventlog.Event) bool {
	id := uuid.MustParse(text)
	return func(e eventlog.Event) bool { return e.ID == id }
}

func byTrace(text string) func(eventlog.Event) bool {
	id := []byte(text)
	return func(e eventlog.Event) bool {
		if !bytes.Contains(e.Metadata, id) {
			return false
		}
		md, err := codec.DecodeMetadata(e.Metadata)
		return err == nil && md.TraceID == string(id)
	}
}

// contactBehind returns the contact that an event, or else what caused it, is about;
// empty when there is none.
func (r *Reader) contactBehind(ctx context.Context, e eventlog.Event) (contact string, err error) {
	for {
		if contact = r.named(e); contact != "" {
			return contact, nil
		}
		cause, place := causeIn(e)
		if cause == "" || place.Compare(e.Position) >= 0 {
			return "", nil
		}
		if e, err = r.at(ctx, place); err != nil || e.ID.String() != cause {
			return "", err
		}
	}
}

// causeIn is the cause that an event names, and where that stands; empty when it does
// not say, or can't be read.
func causeIn(e eventlog.Event) (id string, place Position) {
	if md, err := codec.DecodeMetadata(e.Metadata); err == nil && md.CausePosition != (Position{}) {
		return md.CausationID, md.CausePosition
	}
	return "", Position{}
}

// named is the contact that an event names, by its stream or by what it says.
func (r *Reader) named(e eventlog.Event) string {
	for _, prefix := range []string{contactStream(""), "decisions-"} {
		if contact, ok := strings.CutPrefix(e.Stream, prefix); ok {
			return contact
		}
	}
	decoded, err := r.codec.DecodeSealed(e)
	if err != nil {
		return ""
	}
	if m, ok := decoded.Message.(interface{ GetContactId() string }); ok {
		return m.GetContactId()
	}
	return ""
}
