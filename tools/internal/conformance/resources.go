package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// record is one event of the populated database, with the place that it has
// there: a line of what event-store import reads.
type record struct {
	Position    uint64    `json:"position"`
	Stream      string    `json:"stream"`
	Revision    uint64    `json:"revision"`
	ID          uuid.UUID `json:"id"`
	Type        string    `json:"type"`
	Created     time.Time `json:"created"`
	ContentType string    `json:"contentType"`
	Data        []byte    `json:"data"`
	Metadata    []byte    `json:"metadata"`
}

// resources are what the suite knows of its populated database.
type resources struct {
	records []record // in the order of their positions
	// filtered are the first places in the log of events whose type begins with
	// filteredPrefix: their revisions and positions.
	filtered []filteredEvent
}

type filteredEvent struct {
	revision, position uint64
}

const filteredPrefix = "eventType-194"

// resourceEvent is how the suite writes an event down. Bytes are lists of
// numbers.
type resourceEvent struct {
	Event *struct {
		StreamID       string                 `json:"streamId"`
		StreamRevision struct{ Value uint64 } `json:"streamRevision"`
		EventID        uuid.UUID              `json:"eventId"`
		EventType      string                 `json:"eventType"`
		EventData      []byte                 `json:"eventData"`
		UserMetadata   []byte                 `json:"userMetadata"`
		ContentType    string                 `json:"contentType"`
		Position       struct{ Prepare, Commit uint64 }
		Created        struct{ Seconds, Nanos int64 }
	} `json:"event"`
}

// errContradiction says that two resources of the suite can't both hold.
var errContradiction = errors.New("the suite's resources contradict each other")

// readResources reads the suite's resources: every list of events in dir, and
// the list of filtered ones.
func readResources(dir string) (resources, error) {
	var r resources
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return r, err
	}
	known := map[uint64]record{}
	for _, file := range files {
		if err := readEvents(file, known); err != nil {
			return r, err
		}
	}
	for _, one := range known {
		r.records = append(r.records, one)
	}
	slices.SortFunc(r.records, byPosition)
	r.filtered, err = readFiltered(dir)
	if len(r.records) == 0 && err == nil {
		err = fmt.Errorf("%s holds no events", dir)
	}
	return r, err
}

// readEvents adds the events of a file to those known by their position. Files
// that list something else are passed over.
func readEvents(file string, known map[uint64]record) error {
	content, err := os.ReadFile(file) //nolint:gosec // a resource of the suite
	if err != nil {
		return err
	}
	if !strings.Contains(string(content), `"eventId"`) {
		return nil
	}
	var events []resourceEvent
	if err := json.Unmarshal(content, &events); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for i, e := range events {
		if e.Event == nil || e.Event.Position.Commit != e.Event.Position.Prepare {
			return fmt.Errorf("%s: entry %d is no event with one position", file, i)
		}
		one := record{
			Position: e.Event.Position.Commit, Stream: e.Event.StreamID, Revision: e.Event.StreamRevision.Value,
			ID: e.Event.EventID, Type: e.Event.EventType, ContentType: e.Event.ContentType,
			Created: time.Unix(e.Event.Created.Seconds, e.Event.Created.Nanos).UTC(),
			Data:    e.Event.EventData, Metadata: e.Event.UserMetadata,
		}
		if other, ok := known[one.Position]; ok && !reflect.DeepEqual(one, other) {
			return fmt.Errorf("%w: %s at position %d and another file", errContradiction, file, one.Position)
		}
		known[one.Position] = one
	}
	return nil
}

// readFiltered reads the two lists that belong together.
func readFiltered(dir string) ([]filteredEvent, error) {
	var positions []struct{ Prepare, Commit uint64 }
	var revisions []uint64
	for file, into := range map[string]any{
		"all-positions-filtered-stream-194-e0-e30.json": &positions,
		"all-versions-filtered-stream-194-e0-e30.json":  &revisions,
	} {
		content, err := os.ReadFile(filepath.Join(dir, file)) //nolint:gosec // a resource of the suite
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(content, into); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	if len(positions) != len(revisions) {
		return nil, fmt.Errorf("%w: %d positions of filtered events, %d revisions", errContradiction, len(positions), len(revisions))
	}
	var filtered []filteredEvent
	for i, p := range positions {
		if p.Commit != p.Prepare {
			return nil, fmt.Errorf("filtered event %d has no one position", i)
		}
		filtered = append(filtered, filteredEvent{revision: revisions[i], position: p.Commit})
	}
	return filtered, nil
}

func byPosition(a, b record) int {
	switch {
	case a.Position < b.Position:
		return -1
	case a.Position > b.Position:
		return 1
	default:
		return 0
	}
}
