package stream

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// Limits is what a stream's metadata says about which events stay visible. The
// zero Limits hide nothing.
type Limits struct {
	TruncateBefore int64         // $tb: the first revision that is visible
	MaxCount       int64         // $maxCount: that many last events; 0: no limit
	MaxAge         time.Duration // $maxAge: no events older than that; 0: no limit
}

const (
	truncateBeforeKey = "$tb"
	maxCountKey       = "$maxCount"
	maxAgeKey         = "$maxAge"
)

// ParseLimits reads limits off a metadata event's data. Metadata is the
// writers' own: whatever is malformed in it limits nothing, and leaves the
// rest as it is.
func ParseLimits(data []byte) Limits {
	var properties map[string]json.RawMessage
	if json.Unmarshal(data, &properties) != nil {
		return Limits{}
	}
	seconds := min(number(properties[maxAgeKey]), math.MaxInt64/int64(time.Second))
	return Limits{
		TruncateBefore: number(properties[truncateBeforeKey]),
		MaxCount:       number(properties[maxCountKey]),
		MaxAge:         time.Duration(seconds) * time.Second,
	}
}

// number returns the whole number that a property holds, 0 when it holds none.
func number(property json.RawMessage) int64 {
	var n json.Number
	if json.Unmarshal(property, &n) != nil {
		return 0
	}
	return whole(n)
}

// whole returns the whole number that n stands for, 0 when it is none that is
// above zero. Some writers send large numbers as floating point.
func whole(n json.Number) int64 {
	if i, err := n.Int64(); err == nil {
		return max(i, 0)
	}
	f, err := n.Float64()
	if err != nil || f <= 0 {
		return 0
	}
	if f >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(f)
}

// DeletedMetadata is the metadata of a softly deleted stream.
func DeletedMetadata() []byte {
	return fmt.Appendf(nil, `{"%s":%d}`, truncateBeforeKey, MaxRevision)
}

// Undeleted returns metadata data with the truncation point set to first and
// everything else kept.
func Undeleted(data []byte, first int64) ([]byte, error) {
	properties := map[string]json.RawMessage{}
	if json.Unmarshal(data, &properties) != nil || properties == nil {
		properties = map[string]json.RawMessage{} // nothing that could be kept
	}
	properties[truncateBeforeKey] = fmt.Appendf(nil, "%d", first)
	kept, err := json.Marshal(properties)
	if err != nil {
		return nil, fmt.Errorf("write stream metadata: %w", err)
	}
	return kept, nil
}

// metadataLimits hold for every metadata stream: only its last event counts.
// Clients rely on it: they read the first event that is visible.
var metadataLimits = Limits{MaxCount: 1}

// LimitsOf returns the limits that hold for stream name in state.
func LimitsOf(name string, state State) Limits {
	if IsMetadata(name) {
		return metadataLimits
	}
	return state.Limits
}

// First returns the first revision that may be visible in a stream whose last
// revision is last, age apart.
func (l Limits) First(last int64) int64 {
	first := l.TruncateBefore
	if l.MaxCount > 0 {
		first = max(first, last-l.MaxCount+1)
	}
	return first
}

// Oldest returns the earliest creation time that is visible at now; ok is
// false when age hides nothing.
func (l Limits) Oldest(now time.Time) (oldest time.Time, ok bool) {
	return now.Add(-l.MaxAge), l.MaxAge > 0
}
