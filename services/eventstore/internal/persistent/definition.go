package persistent

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/triangle-suite/triangle/services/eventstore/internal/filter"
	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// Key names a group.
type Key struct {
	Stream string `json:"stream"` // stream.All stands for the log
	Group  string `json:"group"`
}

// The streams that groups are kept in.
const (
	configStream = "$persistentSubscriptionConfig"
	configType   = "$PersistentConfig"
	groupPrefix  = "$persistentsubscription-"

	checkpointType = "$SubscriptionCheckpoint"
)

// String is what tells a group from all others, as its streams are named by it.
func (k Key) String() string { return k.Stream + "::" + k.Group }

func (k Key) checkpoints() string { return groupPrefix + k.String() + "-checkpoint" }

// Parked names the stream of the group's parked events.
func (k Key) Parked() string { return groupPrefix + k.String() + "-parked" }

func (k Key) validate() error {
	if k.Stream == "" || k.Group == "" {
		return fmt.Errorf("%w: it must name a stream, or $all, and a group", ErrInvalid)
	}
	return nil
}

// Start is where a group begins.
type Start struct {
	Kind StartKind `json:"kind"`
	At   uint64    `json:"at,omitempty"` // a revision or a position, the first that is delivered
}

// StartKind tells what a Start is.
type StartKind string

// The kinds of Start.
const (
	StartAtPlace     StartKind = "place"
	StartAtBeginning StartKind = "beginning"
	StartAtEnd       StartKind = "end"
)

// Filter chooses the events of $all that a group delivers.
type Filter struct {
	ByStream bool     `json:"byStream,omitempty"` // else by type
	Prefixes []string `json:"prefixes,omitempty"`
	Pattern  string   `json:"pattern,omitempty"`
}

func (f *Filter) compile() (filter.Filter, error) {
	if f == nil {
		return filter.Filter{}, nil
	}
	field := filter.Type
	if f.ByStream {
		field = filter.Stream
	}
	return filter.New(field, f.Prefixes, f.Pattern)
}

// Definition is what a group is created with.
type Definition struct {
	Key
	Settings `json:"settings"`
	Start    Start   `json:"start"`
	First    Place   `json:"first"` // Start, as a place: an end does not move with the store
	Filter   *Filter `json:"filter,omitempty"`
}

func (d *Definition) validate() error {
	if err := d.Key.validate(); err != nil {
		return err
	}
	if d.Filter != nil && d.Stream != stream.All {
		return fmt.Errorf("%w: only groups on $all can be filtered", ErrInvalid)
	}
	if _, err := d.Filter.compile(); err != nil {
		return err
	}
	return d.Settings.validate()
}

// settle finds the place that Start stands for.
func (d *Definition) settle(view *storage.View) error {
	switch {
	case d.Start.Kind == StartAtBeginning:
		d.First = 0
	case d.Start.Kind == StartAtPlace:
		d.First = Place(min(d.Start.At, math.MaxInt64-1))
	case d.Stream == stream.All:
		d.First = Place(view.Last()) + 1
	default:
		state, err := view.State(d.Stream)
		if err != nil {
			return err
		}
		d.First = Place(state.Last) + 1
	}
	return nil
}

// StartFrom tells Start as the protocol does.
func (d *Definition) StartFrom() string {
	switch d.Start.Kind {
	case StartAtBeginning:
		return "0"
	case StartAtEnd:
		return "-1"
	default:
		return d.format(Place(min(d.Start.At, math.MaxInt64-1)))
	}
}

// format tells a place of the group as the protocol does; "" is Nowhere.
func (d *Definition) format(at Place) string {
	switch {
	case at == Nowhere:
		return ""
	case d.Stream == stream.All:
		return fmt.Sprintf("C:%d/P:%d", at, at)
	default:
		return strconv.FormatInt(int64(at), 10)
	}
}

// parsePlace reads what format wrote.
func parsePlace(text string) (Place, error) {
	if commit, _, ok := strings.Cut(strings.TrimPrefix(text, "C:"), "/P:"); ok {
		text = commit
	}
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil || at < 0 {
		return Nowhere, fmt.Errorf("%q is no place in a stream or in $all", text)
	}
	return Place(at), nil
}

// configVersion is the version of the definitions' form.
const configVersion = 1

type config struct {
	Version int          `json:"version"`
	Groups  []Definition `json:"groups"`
}

func decodeConfig(data []byte) ([]Definition, error) {
	var c config
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("the definitions of persistent subscriptions, the last event of %s, are malformed: %w", configStream, err)
	}
	if c.Version != configVersion {
		return nil, fmt.Errorf("the definitions of persistent subscriptions, the last event of %s, have version %d: this store reads version %d", configStream, c.Version, configVersion)
	}
	for i := range c.Groups {
		if err := c.Groups[i].validate(); err != nil {
			return nil, fmt.Errorf("%s, the last event of %s: %w", c.Groups[i].Key, configStream, err)
		}
	}
	return c.Groups, nil
}
