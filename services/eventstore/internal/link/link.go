// Package link follows events that stand for other events.
package link

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// Resolve returns the event that from stands for, nil when there is none (any
// more): a deleted stream's events, and those that its metadata hides, are not
// reached through a link either.
func Resolve(view *storage.View, from *storage.Event) (*storage.Event, error) {
	name, revision, ok := Parse(from.Data)
	if !ok {
		return nil, nil
	}
	state, err := view.State(name)
	if err != nil {
		return nil, err
	}
	if state.Tombstoned || !state.Exists() || revision < stream.LimitsOf(name, state).First(state.Last) {
		return nil, nil
	}
	event, err := view.Event(name, revision)
	if errors.Is(err, storage.ErrNoEvent) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &event, nil
}

// Parse reads "revision@stream". A stream's name may hold an @ itself.
func Parse(data []byte) (name string, revision int64, ok bool) {
	number, rest, found := bytes.Cut(data, []byte("@"))
	if !found || len(rest) == 0 {
		return "", 0, false
	}
	revision, err := strconv.ParseInt(string(number), 10, 64)
	return string(rest), revision, err == nil && revision >= 0
}
