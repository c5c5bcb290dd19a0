package esdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

const (
	metadataPrefix = "$$"
	metadataType   = "$metadata"
	maxCountKey    = "$maxCount"
)

// errMaxCount refuses a bound that would show nothing.
var errMaxCount = errors.New("a stream's max count must be above 0")

// SetMaxCount implements eventlog.Log. It changes that one key of the stream's
// metadata and leaves what an operator may have set beside it: the client's own
// call would put new metadata in the place of all.
func (l *Log) SetMaxCount(ctx context.Context, stream string, n uint64) error {
	if n == 0 {
		return errMaxCount
	}
	for {
		err := l.changeMaxCount(ctx, metadataPrefix+stream, n)
		if err == nil {
			return nil
		}
		if !errors.Is(err, eventlog.ErrWrongRevision) { // else someone was quicker: look again
			return fmt.Errorf("set the max count of %s: %w", stream, err)
		}
	}
}

func (l *Log) changeMaxCount(ctx context.Context, metastream string, n uint64) error {
	metadata, expected, err := l.metadata(ctx, metastream)
	if err != nil {
		return err
	}
	value, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("write %s: %w", maxCountKey, err)
	}
	if string(metadata[maxCountKey]) == string(value) {
		return nil
	}
	metadata[maxCountKey] = value
	data, err := json.Marshal(metadata)
	if err != nil {
		return fmt.Errorf("write %s: %w", metastream, err)
	}
	_, err = l.Append(ctx, metastream, expected, eventlog.NewEvent{ID: uuid.New(), Type: metadataType, Data: data})
	return err
}

// metadata returns a stream's metadata, and what to expect when changing it.
func (l *Log) metadata(
	ctx context.Context, metastream string,
) (metadata map[string]json.RawMessage, expected eventlog.Expected, err error) {
	metadata, expected = map[string]json.RawMessage{}, eventlog.NoStream
	for event, err := range l.ReadStream(ctx, metastream, eventlog.Backward, math.MaxUint64, 1) {
		switch {
		case errors.Is(err, eventlog.ErrNoStream):
			return metadata, expected, nil
		case err != nil:
			return nil, expected, err
		}
		if err := json.Unmarshal(event.Data, &metadata); err != nil {
			return nil, expected, fmt.Errorf("read %s: %w", metastream, err)
		}
		expected = eventlog.At(event.Revision)
	}
	return metadata, expected, nil
}
