package audit

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/digest"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Answers counts, in the log, the answers that reactions gave to causes. It knows
// them by their origin, which is reaction:<handler>:<cause>. An answer may be of
// several events, in several streams; in each of these there is one answer only,
// and the ids of its events derive from stream, origin and ordinal. That there was
// nothing to do is on record like any other answer, and counted apart.
type Answers struct {
	handlers map[string]*Reaction
}

// Reaction is what was found of one handler's answers.
type Reaction struct {
	// Answered is how many causes have one, None how many have only the record that
	// there was nothing to do, and Sum a sum over the ids of both.
	Answered, None uint64
	Sum            digest.Sum
	// Twice are the causes with more than one answer, OutOfOrder those that were
	// answered after a later one of their key in the same stream.
	Twice, OutOfOrder []Cause

	causes  map[uuid.UUID]*cause
	written map[digest.Hash]uint32            // how many events of an answer a stream has
	last    map[digest.Hash]eventlog.Position // the cause that a stream answered last, per key
}

// Cause is an event that a handler takes.
type Cause struct {
	ID       uuid.UUID
	Key      string
	Position eventlog.Position
}

type cause struct {
	Cause
	fate        fate
	twice, late bool
}

// fate is what is on record of a cause.
type fate int

const (
	missing fate = iota
	none
	answered
)

// nothingDecided is the record that there was nothing to do.
const nothingDecided = "flow.NothingDecided"

// NewAnswers counts the answers of some handlers.
func NewAnswers(handlers ...string) *Answers {
	a := &Answers{handlers: map[string]*Reaction{}}
	for _, h := range handlers {
		a.handlers[h] = &Reaction{causes: map[uuid.UUID]*cause{}, written: map[digest.Hash]uint32{}, last: map[digest.Hash]eventlog.Position{}}
	}
	return a
}

// Of returns what was found of a handler's answers.
func (a *Answers) Of(handler string) *Reaction { return a.handlers[handler] }

// Cause adds a cause, before its answers. A second copy of an event is the same
// cause.
func (a *Answers) Cause(handler string, c Cause) {
	r := a.handlers[handler]
	if _, known := r.causes[c.ID]; !known {
		r.causes[c.ID] = &cause{Cause: c}
	}
}

// Event adds an event of the log, in the log's order, whatever it is. origin is
// what its metadata says.
func (a *Answers) Event(e eventlog.Event, origin string) {
	handler, id, ok := reactionTo(origin)
	if !ok {
		return
	}
	r := a.handlers[handler]
	if r == nil || r.causes[id] == nil {
		return
	}
	r.note(r.causes[id], e, origin)
}

// reactionTo takes an origin apart.
func reactionTo(origin string) (handler string, cause uuid.UUID, ok bool) {
	rest, ok := strings.CutPrefix(origin, "reaction:")
	at := strings.LastIndexByte(rest, ':')
	if !ok || at < 0 {
		return "", cause, false
	}
	cause, err := uuid.Parse(rest[at+1:])
	return rest[:at], cause, err == nil
}

func (r *Reaction) note(c *cause, e eventlog.Event, origin string) {
	r.settle(c, e.Type)
	place := hashOf(origin, e.Stream)
	n := r.written[place]
	r.written[place] = n + 1
	if e.ID != answerID(e.Stream, origin, n) {
		if !c.twice {
			c.twice = true
			r.Twice = append(r.Twice, c.Cause)
		}
		return
	}
	if n > 0 {
		return
	}
	lane := hashOf(c.Key, e.Stream)
	if last, ok := r.last[lane]; ok && c.Position.Compare(last) < 0 {
		if !c.late {
			c.late = true
			r.OutOfOrder = append(r.OutOfOrder, c.Cause)
		}
		return
	}
	r.last[lane] = c.Position
}

// settle counts a cause by the best that is on record of it: steps on the way to
// an answer stand in streams of their own.
func (r *Reaction) settle(c *cause, eventType string) {
	is := answered
	if eventType == nothingDecided {
		is = none
	}
	if is <= c.fate {
		return
	}
	switch c.fate {
	case missing:
		r.Sum = r.Sum.Plus(hashOf(c.ID.String()))
	case none:
		r.None--
	case answered:
	}
	if c.fate = is; is == none {
		r.None++
	} else {
		r.Answered++
	}
}

// Causes is how many causes there are.
func (r *Reaction) Causes() uint64 { return uint64(len(r.causes)) }

// Missing returns the causes of which nothing is on record, in the order of the
// log.
func (r *Reaction) Missing() (all []Cause) {
	for _, c := range r.causes {
		if c.fate == missing {
			all = append(all, c.Cause)
		}
	}
	slices.SortFunc(all, func(a, b Cause) int {
		return cmp.Or(a.Position.Compare(b.Position), slices.Compare(a.ID[:], b.ID[:]))
	})
	return all
}

// namespace is that of all derived ids.
var namespace = uuid.MustParse("b2a4d0a6-3f0e-5a53-9a5e-0c2a4f1f6d11")

// answerID is the id of an answer's event, the ordinal-th in the stream.
func answerID(stream, origin string, ordinal uint32) uuid.UUID {
	return uuid.NewSHA1(namespace, fmt.Appendf(nil, "event|%d|%s|%s", ordinal, stream, origin))
}

// hashOf is of texts with a separator that none of them has.
func hashOf(texts ...string) digest.Hash {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return digest.Hash(sum[:len(digest.Hash{})])
}
