// Package filter chooses events of $all by the prefix or the pattern of their
// type or their stream's name.
package filter

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
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

// ErrInvalid is what a filter that can't be built fails with.
var ErrInvalid = errors.New("invalid filter")

// New returns the filter that chooses events whose field begins with one of
// prefixes or, if there is none, matches pattern (RE2 syntax, anywhere in the
// field).
func New(field Field, prefixes []string, pattern string) (Filter, error) {
	if len(prefixes) > 0 {
		f := Filter{field: field, prefixes: make([][]byte, len(prefixes))}
		for i, p := range prefixes {
			f.prefixes[i] = []byte(p)
		}
		return f, nil
	}
	if pattern == "" {
		return Filter{}, fmt.Errorf("%w: neither a prefix nor a regular expression", ErrInvalid)
	}
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return Filter{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return Filter{field: field, pattern: compiled}, nil
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
