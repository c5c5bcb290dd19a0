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

// The value of a head: version(1) flags(1) last+1 $tb $maxCount $maxAge
// (uvarints; the age in seconds). Limits are kept here, and not only in the
// metadata stream, so that a read costs one look-up and no JSON.
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
	b = binary.AppendUvarint(b, uint64(s.Last+1))
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
	var numbers [4]uint64
	for i := range numbers {
		x, n := binary.Uvarint(b)
		if n <= 0 || x > math.MaxInt64 {
			return stream.State{}, errMalformedState
		}
		numbers[i], b = x, b[n:]
	}
	if numbers[3] > uint64(math.MaxInt64/time.Second) {
		return stream.State{}, errMalformedState
	}
	return stream.State{
		Last:        int64(numbers[0]) - 1,
		Tombstoned:  flags&flagTombstoned != 0,
		HasMetadata: flags&flagMetadata != 0,
		Limits: stream.Limits{
			TruncateBefore: int64(numbers[1]),
			MaxCount:       int64(numbers[2]),
			MaxAge:         time.Duration(numbers[3]) * time.Second,
		},
	}, nil
}

// loadState reads a stream's state; a stream without one is missing.
func loadState(from pebble.Reader, name string) (stream.State, error) {
	state := stream.Missing
	err := get(from, headKey(name), func(value []byte) (err error) {
		state, err = decodeState(value)
		return err
	})
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return stream.State{}, fmt.Errorf("read the state of stream %q: %w", name, err)
	}
	return state, nil
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
