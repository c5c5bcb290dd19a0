package eventlog

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// systemPrefix begins the types of the events that the store writes about
// itself ($metadata, $streamDeleted, …).
const systemPrefix = "$"

// ErrFilter tells that a Filter can't be meant: it has more than one field set,
// or an expression that does not compile.
var ErrFilter = errors.New("the filter is not valid")

// IsSystem reports whether eventType is the type of one of the store's own
// events.
func IsSystem(eventType string) bool { return strings.HasPrefix(eventType, systemPrefix) }

// Matcher returns the predicate that f stands for, or an error that wraps
// ErrFilter. Prefixes are alternatives; an expression may match anywhere.
func (f Filter) Matcher() (func(eventType, stream string) bool, error) {
	if err := f.onlyOne(); err != nil {
		return nil, err
	}
	switch {
	case len(f.TypePrefixes) > 0:
		prefixes := slices.Clone(f.TypePrefixes)
		return func(eventType, _ string) bool { return hasPrefix(eventType, prefixes) }, nil
	case len(f.StreamPrefixes) > 0:
		prefixes := slices.Clone(f.StreamPrefixes)
		return func(_, stream string) bool { return hasPrefix(stream, prefixes) }, nil
	case f.TypeRegex != "":
		expression, err := compile(f.TypeRegex)
		return func(eventType, _ string) bool { return expression.MatchString(eventType) }, err
	case f.StreamRegex != "":
		expression, err := compile(f.StreamRegex)
		return func(_, stream string) bool { return expression.MatchString(stream) }, err
	default:
		return func(eventType, _ string) bool { return !IsSystem(eventType) }, nil
	}
}

func (f Filter) onlyOne() error {
	set := 0
	for _, is := range []bool{
		len(f.TypePrefixes) > 0, f.TypeRegex != "", len(f.StreamPrefixes) > 0, f.StreamRegex != "",
	} {
		if is {
			set++
		}
	}
	if set > 1 {
		return fmt.Errorf("%w: %d of its fields are set, the store takes one", ErrFilter, set)
	}
	return nil
}

func compile(expression string) (*regexp.Regexp, error) {
	compiled, err := regexp.Compile(expression)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFilter, err)
	}
	return compiled, nil
}

func hasPrefix(s string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(s, prefix) })
}
