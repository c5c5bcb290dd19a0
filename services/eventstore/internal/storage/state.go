package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// The value of a head: version(1) flags(1) $tb $maxCount $maxAge (uvarints; the
// age in seconds). Limits are kept here, and not only in the metadata stream,
// so that a read needs no JSON. The last revision is not: a head is written
// when the stream begins and when its metadata changes, and not at each append.
const (
	stateVersion   = 1
	flagTombstoned = 1 << 0
	flagMetadata   = 1 << 1
)

func encodeState(s stream.State) []byte {
	var flags byte
	if s.Tombstoned {
		flags |= flagTombstoned
	}
	if s.HasMetadata {
		flags |= flagMetadata
	}
	b := append(make([]byte, 0, 24), stateVersion, flags)
	b = binary.AppendUvarint(b, uint64(s.Limits.TruncateBefore))
	b = binary.AppendUvarint(b, uint64(s.Limits.MaxCount))
	return binary.AppendUvarint(b, uint64(s.Limits.MaxAge/time.Second))
}

var errMalformedState = errors.New("the state of a stream is malformed")

func decodeState(b []byte) (stream.State, error) {
	if len(b) < 2 || b[0] != stateVersion {
		return stream.State{}, errMalformedState
	}
	flags, b := b[1], b[2:]
	var numbers [3]uint64
	for i := range numbers {
		x, n := binary.Uvarint(b)
		if n <= 0 || x > math.MaxInt64 {
			return stream.State{}, errMalformedState
		}
		numbers[i], b = x, b[n:]
	}
	if numbers[2] > uint64(math.MaxInt64/time.Second) {
		return stream.State{}, errMalformedState
	}
	return stream.State{
		Last:        stream.None,
		Tombstoned:  flags&flagTombstoned != 0,
		HasMetadata: flags&flagMetadata != 0,
		Limits: stream.Limits{
			TruncateBefore: int64(numbers[0]),
			MaxCount:       int64(numbers[1]),
			MaxAge:         time.Duration(numbers[2]) * time.Second,
		},
	}, nil
}

// loadState reads a stream's state, and tells whether the stream has a head; one
// without is missing.
func loadState(from pebble.Reader, name string) (state stream.State, stored bool, err error) {
	state, stored, err = loadHead(from, name)
	if err == nil && stored && !state.Tombstoned { // what came before the end counts for nothing
		state.Last, err = lastRevision(from, name)
	}
	if err != nil {
		return stream.State{}, false, fmt.Errorf("read the state of stream %q: %w", name, err)
	}
	return state, stored, nil
}

// loadHead reads what a stream's state is, its last revision apart.
func loadHead(from pebble.Reader, name string) (state stream.State, stored bool, err error) {
	err = get(from, headKey(name), func(value []byte) (err error) {
		state, err = decodeState(value)
		return err
	})
	if errors.Is(err, pebble.ErrNotFound) {
		return stream.Missing, false, nil
	}
	return state, true, err
}

// lastRevision finds the last revision of a stream in the index, stream.None
// when there is none.
func lastRevision(from pebble.Reader, name string) (last int64, err error) {
	lower := indexKey(name, 0)
	it, err := from.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: indexKey(name, stream.MaxRevision)})
	if err != nil {
		return 0, err
	}
	last = stream.None
	if it.Last() {
		last = int64(binary.BigEndian.Uint64(it.Key()[len(lower)-8:]))
	}
	return last, errors.Join(it.Error(), it.Close())
}

// get hands the value of key to use, and fails with pebble.ErrNotFound when
// there is none.
func get(from pebble.Reader, key []byte, use func(value []byte) error) error {
	value, closer, err := from.Get(key)
	if err != nil {
		return err
	}
	return errors.Join(use(value), closer.Close())
}
