// Package filter chooses events of $all by the prefix or the pattern of their
// type or their stream's name.
package filter

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
)

// Field is what a Filter looks at.
type Field int

// The fields.
const (
	Type Field = iota
	Stream
)

// Filter chooses events. The zero Filter chooses every event.
type Filter struct {
	field    Field
	prefixes [][]byte
	pattern  *regexp.Regexp
}

// Errors of New.
var (
	// ErrInvalid is what a filter that can't be built fails with.
	ErrInvalid = errors.New("invalid filter")
	// ErrTooLarge says that a filter is invalid for being above a limit.
	ErrTooLarge = fmt.Errorf("%w: it is too large", ErrInvalid)
)

// Limits bound a filter, which every event is held against: its prefixes, and
// its pattern, both as it is written and with its repetitions written out. A
// field that is 0 has its default.
type Limits struct {
	Prefixes     int // how many
	PrefixBytes  int // of each
	PatternBytes int
}

// The defaults of Limits.
const (
	DefaultPrefixes     = 1 << 10
	DefaultPrefixBytes  = 1 << 10
	DefaultPatternBytes = 4 << 10
)

// New returns the filter that chooses events whose field begins with one of
// prefixes or, if there is none, matches pattern (RE2 syntax, anywhere in the
// field), within the default limits.
func New(field Field, prefixes []string, pattern string) (Filter, error) {
	return Limits{}.New(field, prefixes, pattern)
}

// New is like the function of that name, within the limits l.
func (l Limits) New(field Field, prefixes []string, pattern string) (Filter, error) {
	switch {
	case len(prefixes) > 0 && pattern != "":
		return Filter{}, fmt.Errorf("%w: both prefixes and a regular expression: send one of them", ErrInvalid)
	case len(prefixes) > 0:
		return l.byPrefix(field, prefixes)
	case pattern != "":
		return l.byPattern(field, pattern)
	default:
		return Filter{}, fmt.Errorf("%w: neither a prefix nor a regular expression: send one of them", ErrInvalid)
	}
}

func (l Limits) byPrefix(field Field, prefixes []string) (Filter, error) {
	if most := cmp.Or(l.Prefixes, DefaultPrefixes); len(prefixes) > most {
		return Filter{}, fmt.Errorf("%w: prefixes: %d, above the limit FilterPrefixes of %d: send fewer or shorter ones, they match more", ErrTooLarge, len(prefixes), most)
	}
	most := cmp.Or(l.PrefixBytes, DefaultPrefixBytes)
	f := Filter{field: field, prefixes: make([][]byte, len(prefixes))}
	for i, p := range prefixes {
		if len(p) > most {
			return Filter{}, fmt.Errorf("%w: bytes of a prefix: %d, above the limit FilterPrefixBytes of %d: send a shorter one, it matches more", ErrTooLarge, len(p), most)
		}
		f.prefixes[i] = []byte(p)
	}
	return f, nil
}

// writtenOut is what a pattern may come to for each byte that it may have: one
// that repeats little and names few classes comes to less.
const writtenOut = 4

func (l Limits) byPattern(field Field, pattern string) (Filter, error) {
	most := cmp.Or(l.PatternBytes, DefaultPatternBytes)
	if len(pattern) > most {
		return Filter{}, fmt.Errorf("%w: bytes of the regular expression: %d, above the limit FilterPatternBytes of %d: send a shorter one, or prefixes", ErrTooLarge, len(pattern), most)
	}
	// Parsing keeps a repetition as it is written; compiling writes it out.
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return Filter{}, fmt.Errorf("%w: %w: send one in RE2's syntax", ErrInvalid, err)
	}
	if size := sizeOf(parsed); size > writtenOut*most {
		return Filter{}, fmt.Errorf("%w: the regular expression with its repetitions and classes written out: %d, above %d times the limit FilterPatternBytes of %d: repeat less and name fewer classes", ErrTooLarge, size, writtenOut, most)
	}
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return Filter{}, fmt.Errorf("%w: %w: send one in RE2's syntax", ErrInvalid, err)
	}
	return Filter{field: field, pattern: compiled}, nil
}

// sizeOf is how many instructions and characters e comes to, roughly, which is
// what it takes in memory and, for each event, in time.
func sizeOf(e *syntax.Regexp) int {
	n := 2 + len(e.Rune)
	for _, sub := range e.Sub {
		n += sizeOf(sub)
	}
	if e.Op == syntax.OpRepeat {
		n *= max(e.Min, e.Max, 1)
	}
	return n
}

// Match tells whether f chooses an event of that type in that stream.
func (f Filter) Match(eventType, stream []byte) bool {
	value := eventType
	if f.field == Stream {
		value = stream
	}
	if f.pattern != nil {
		return f.pattern.Match(value)
	}
	for _, p := range f.prefixes {
		if bytes.HasPrefix(value, p) {
			return true
		}
	}
	return f.prefixes == nil
}
