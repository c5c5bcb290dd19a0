package nba

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// ErrNotRebuilt says that a decision's event does not tell how far everything was.
var ErrNotRebuilt = errors.New("the decision does not record how far everything was that it rested on")

// rebuilder folds the log again.
type rebuilder struct {
	streams   *decider.Streams
	db        *projection.DB
	consumers []flow.Consumer
}

// verify holds the features that a decision recorded against those that the log comes
// to, folded again up to the positions that the decision recorded, in tables beside
// those that are in use. It takes nothing from these. What fails with ErrDiffers names
// the first feature that differs. An event that was parked then counts as taken in.
func (r rebuilder) verify(ctx context.Context, e *marketingv1.NextBestActionsDecided) (folded uint64, err error) {
	if e.GetFeatures() == "" {
		return 0, fmt.Errorf("decision %s: %w", e.GetDecisionId(), ErrErased)
	}
	until, err := recorded(e)
	if err != nil {
		return 0, err
	}
	scratch, err := r.db.Scratch(ctx, scratchKind)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, scratch.Drop(context.WithoutCancel(ctx))) }()
	at, folded, err := r.fold(ctx, scratch, until)
	if err != nil {
		return folded, fmt.Errorf("rebuild what decision %s rested on: %w", e.GetDecisionId(), err)
	}
	g, err := gather(ctx, scratch, e.GetContactId(), e.GetCustomerId(), at)
	if err != nil {
		return folded, err
	}
	difference, err := differing(e.GetFeatures(), g.features)
	if err != nil {
		return folded, fmt.Errorf("decision %s: %w", e.GetDecisionId(), err)
	}
	if difference != "" {
		return folded, fmt.Errorf("decision %s: %w: %s", e.GetDecisionId(), ErrLog, difference)
	}
	return folded, nil
}

// scratchKind names the databases in which the log is folded again.
const scratchKind = "replay"

// Sweep removes what was left behind by processes that ended while they folded the log
// again. Each replica does so when it starts; what others have in use stays.
func Sweep(ctx context.Context, db *projection.DB) error {
	if _, err := db.Sweep(ctx, scratchKind); err != nil {
		return fmt.Errorf("remove tables of replays: %w", err)
	}
	return nil
}

// ErrLog says that a decision recorded other features than the log comes to.
var ErrLog = fmt.Errorf("%w: its features are not what the log comes to", ErrDiffers)

// recorded are the positions that a decision rested on.
func recorded(e *marketingv1.NextBestActionsDecided) (positions, error) {
	p := positions{}
	for _, f := range e.GetRestedOn() {
		if f.GetPosition() != nil {
			p[f.GetFlow()] = fromWire(f.GetPosition())
		}
	}
	if e.GetOwnPosition() == nil || len(p) < len(RestsOn) {
		return nil, fmt.Errorf("decision %s: %w", e.GetDecisionId(), ErrNotRebuilt)
	}
	p[ownFlow] = fromWire(e.GetOwnPosition())
	return p, nil
}

// fold fills tables with what each flow had brought at its position. It returns when
// the last of the contact's events happened, which is the cause.
func (r rebuilder) fold(ctx context.Context, into *projection.DB, until positions) (at time.Time, folded uint64, err error) {
	for _, c := range r.consumers {
		if err := into.Create(ctx, c.Schema); err != nil {
			return at, 0, err
		}
	}
	last := slices.MaxFunc(slices.Collect(maps.Values(until)), eventlog.Position.Compare)
	err = into.Update(ctx, func(tx *projection.Tx) error {
		at, folded = time.Time{}, 0
		for raw, err := range r.streams.Log.ReadAll(ctx, eventlog.Forward, nil, 0) {
			if err != nil {
				return err
			}
			if raw.Position.Compare(last) > 0 {
				break
			}
			taken, happened, err := r.take(ctx, tx, raw, until)
			if err != nil {
				return err
			}
			if taken {
				folded++
			}
			if raw.Position == until[Flow] {
				at = happened
			}
		}
		return nil
	})
	return at, folded, err
}

// take takes an event into the tables of the flows that had come so far.
func (r rebuilder) take(ctx context.Context, tx *projection.Tx, raw eventlog.Event, until positions) (taken bool, at time.Time, err error) {
	var e codec.Event
	for _, c := range r.consumers {
		if !slices.Contains(c.Flow.Types, raw.Type) || raw.Position.Compare(until[c.Flow.Name]) > 0 {
			continue
		}
		if !taken {
			if e, err = r.streams.Codec.Decode(ctx, raw); err != nil {
				return false, at, err
			}
			taken = true
		}
		if err := c.Project(ctx, tx, e); err != nil {
			return false, at, err
		}
	}
	return taken, e.Metadata.Time, nil
}

// differing names the first feature in which what was recorded and what was rebuilt
// differ; it is empty when none does. Both are read as this build reads them, so that
// a field that was added since differs from none by being there.
func differing(was string, is Features) (string, error) {
	before, err := ParseFeatures(was)
	if err != nil {
		return "", err
	}
	trees := make([]any, 2)
	for i, f := range []Features{before, is} {
		text, err := f.Canonical()
		if err != nil {
			return "", err
		}
		if err := json.Unmarshal([]byte(text), &trees[i]); err != nil {
			return "", fmt.Errorf("read features: %w", err)
		}
	}
	return unlike("", trees[0], trees[1]), nil
}

// unlike names the first place, in the order of names, at which two JSON values
// differ.
func unlike(path string, was, is any) string {
	if reflect.DeepEqual(was, is) {
		return ""
	}
	switch a := was.(type) {
	case map[string]any:
		if b, ok := is.(map[string]any); ok {
			names := slices.Sorted(maps.Keys(a))
			for name := range b {
				if _, there := a[name]; !there {
					names = append(names, name)
				}
			}
			slices.Sort(names)
			for _, name := range names {
				if difference := unlike(join(path, name), a[name], b[name]); difference != "" {
					return difference
				}
			}
		}
	case []any:
		if b, ok := is.([]any); ok && len(a) == len(b) {
			for i := range a {
				if difference := unlike(fmt.Sprintf("%s[%d]", path, i), a[i], b[i]); difference != "" {
					return difference
				}
			}
		}
	}
	return fmt.Sprintf("%s: %s was recorded, %s comes of the log", path, shown(was), shown(is))
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// shown writes a value as features have it.
func shown(value any) string {
	text, err := json.Marshal(value)
	if value == nil || err != nil {
		return "nothing"
	}
	return cmp.Or(string(text), "nothing")
}
