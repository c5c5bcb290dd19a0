package persistent

import (
	"errors"
	"fmt"
	"time"
)

// ErrInvalid is what a definition that can't be fails with.
var ErrInvalid = errors.New("invalid persistent subscription")

// Strategy chooses the consumer of an event.
type Strategy string

// The strategies.
const (
	// RoundRobin takes turns among the consumers that have room.
	RoundRobin Strategy = "RoundRobin"
	// DispatchToSingle stays with one consumer while it has room.
	DispatchToSingle Strategy = "DispatchToSingle"
	// Pinned keeps the events of a source stream with one consumer.
	Pinned Strategy = "Pinned"
	// PinnedByCorrelation keeps the events of a correlation id with one consumer.
	PinnedByCorrelation Strategy = "PinnedByCorrelation"
)

func (s Strategy) pins() bool { return s == Pinned || s == PinnedByCorrelation }

// Settings are how a group delivers.
type Settings struct {
	ResolveLinks    bool          `json:"resolveLinks"`
	ExtraStatistics bool          `json:"extraStatistics"`
	Strategy        Strategy      `json:"strategy"`
	MessageTimeout  time.Duration `json:"messageTimeoutNanos"` // 0: wait for ever
	MaxRetries      int           `json:"maxRetries"`          // then an event is parked
	MaxConsumers    int           `json:"maxConsumers"`        // 0: no limit
	ReadBatch       int           `json:"readBatch"`           // events read at a time
	HistoryBuffer   int           `json:"historyBuffer"`       // events held while behind
	LiveBuffer      int           `json:"liveBuffer"`          // events held while live
	CheckpointAfter time.Duration `json:"checkpointAfterNanos"`
	MinCheckpoint   int           `json:"minCheckpoint"` // events before CheckpointAfter counts
	MaxCheckpoint   int           `json:"maxCheckpoint"` // events after which nothing else does
}

// validate tells what is wrong with the settings.
func (s *Settings) validate() error {
	switch s.Strategy {
	case RoundRobin, DispatchToSingle, Pinned, PinnedByCorrelation:
	default:
		return fmt.Errorf("%w: consumer strategy %q is unknown: use RoundRobin, DispatchToSingle, Pinned or PinnedByCorrelation", ErrInvalid, s.Strategy)
	}
	atLeast := []struct {
		name         string
		value, least int64
	}{
		{"the message time-out", int64(s.MessageTimeout), 0},
		{"the maximum retry count", int64(s.MaxRetries), 0},
		{"the maximum subscriber count", int64(s.MaxConsumers), 0},
		{"the read batch size", int64(s.ReadBatch), 1},
		{"the history buffer size", int64(s.HistoryBuffer), int64(s.ReadBatch)},
		{"the live buffer size", int64(s.LiveBuffer), 0},
		{"the time to checkpoint after", int64(s.CheckpointAfter), 0},
		{"the minimum checkpoint count", int64(s.MinCheckpoint), 0},
		{"the maximum checkpoint count", int64(s.MaxCheckpoint), int64(s.MinCheckpoint)},
	}
	for _, a := range atLeast {
		if a.value < a.least {
			return fmt.Errorf("%w: %s is %d, it must be at least %d", ErrInvalid, a.name, a.value, a.least)
		}
	}
	return nil
}
