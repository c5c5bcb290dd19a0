package conformance

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The suite's populated database was made by a test of load: streams
// dataset20M-0, dataset20M-200 and so on, and what EventStoreDB and its system
// projections wrote meanwhile. The resources tell some 40 of its events in full,
// and the places of 30 more. Tests read the two streams below from their ends
// and by their lengths, and $all at both of its ends, around position 3386 and
// by the types that the resources list.
const (
	firstDataset  = "dataset20M-0"    // 6000 events, read by number
	secondDataset = "dataset20M-1800" // 2000 events, read from both ends
	// datasetTypes is how many types the events of a dataset stream take turns
	// with: revision r of dataset20M-N is of type eventType-(N + r mod 200).
	datasetTypes = 200
)

// place is where one event of a stream is in the log.
type place struct {
	stream   string
	revision uint64
	position uint64
}

// madeUp are the places of events that no resource tells and that must be
// somewhere: reads count them, or stream revisions would have gaps. Those
// between two places of a stream are spread evenly.
//
//	0 ···· 3386    what the server wrote at its start; a read begins at 3386
//	··· 407358     dataset20M-0, its first 2000
//	11607400 ···   dataset20M-1800, all of it
//	12300000 ···   dataset20M-0, the others: behind the 30th filtered event,
//	               as their types pass the same filter
//	14000000 ···   what the server's projections and statistics wrote
//	20400525 ···   the end that resources tell
var madeUp = []place{
	{"$projections-$all", 1, 3_386},
	{firstDataset, 0, 108_877},
	{firstDataset, 1_999, 407_358},
	{firstDataset, 2_000, 12_300_000},
	{firstDataset, 5_999, 12_927_843},
	{"$projections-$master", 4, 14_000_000},
	{"$projections-$master", 316, 14_190_000},
	{"$stats-0.0.0.0:2113", 0, 14_200_000},
	{"$stats-0.0.0.0:2113", 5, 14_290_000},
}

// namespace is what ids of made-up events derive from.
var namespace = uuid.MustParse("5bd3c1a2-7f0c-4c9e-9a55-1d1f6f2f9a11")

// makeDataset returns all events of the populated database, in the order of
// their positions.
func makeDataset(r resources) ([]record, error) {
	places, err := allPlaces(r)
	if err != nil {
		return nil, err
	}
	told := map[place]record{}
	for _, one := range r.records {
		told[place{one.Stream, one.Revision, one.Position}] = one
	}
	all := make([]record, 0, len(places))
	for _, p := range places {
		one, ok := told[p]
		if !ok {
			one = makeUp(p)
		}
		all = append(all, one)
	}
	slices.SortFunc(all, byPosition)
	setTimes(all)
	return all, check(all)
}

// allPlaces returns every event's place: those that resources tell, those made
// up, and those in between.
func allPlaces(r resources) ([]place, error) {
	streams := map[string][]place{}
	add := func(p place) { streams[p.stream] = append(streams[p.stream], p) }
	for _, one := range r.records {
		add(place{one.Stream, one.Revision, one.Position})
	}
	for _, one := range r.filtered {
		stream, err := filteredStream(one.revision)
		if err != nil {
			return nil, err
		}
		add(place{stream, one.revision, one.position})
	}
	for _, p := range madeUp {
		add(p)
	}
	var all []place
	for _, places := range streams {
		slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.revision, b.revision) })
		all = append(all, fill(places)...)
	}
	return all, nil
}

// filteredStream returns whose event with this revision has a type that the
// filter lets pass.
func filteredStream(revision uint64) (string, error) {
	first := strings.HasPrefix(datasetType(firstDataset, revision), filteredPrefix)
	second := strings.HasPrefix(datasetType(secondDataset, revision), filteredPrefix)
	switch {
	case first == second:
		return "", fmt.Errorf("%w: no one stream has a filtered event of revision %d", errContradiction, revision)
	case first:
		return firstDataset, nil
	default:
		return secondDataset, nil
	}
}

// fill returns the places of one stream without gaps: those given, which are in
// order, and between two of them the missing ones, evenly spread.
func fill(known []place) []place {
	var all []place
	for i, p := range known {
		all = append(all, p)
		if i == len(known)-1 {
			break
		}
		next := known[i+1]
		for r := p.revision + 1; r < next.revision; r++ {
			all = append(all, place{p.stream, r, p.position + (next.position-p.position)*(r-p.revision)/(next.revision-p.revision)})
		}
	}
	return all
}

// makeUp returns an event for a place of which nothing else is known.
func makeUp(p place) record {
	one := record{
		Position: p.position, Stream: p.stream, Revision: p.revision,
		ID:          uuid.NewSHA1(namespace, fmt.Appendf(nil, "%d@%s", p.revision, p.stream)),
		ContentType: "application/json", Data: []byte("{}"), Metadata: []byte{},
	}
	switch p.stream {
	case firstDataset, secondDataset:
		number := datasetNumber(p.stream, p.revision)
		one.Type = datasetType(p.stream, p.revision)
		one.Data = fmt.Appendf(nil, `{"somedata" : %d}`, number)
		one.Metadata = fmt.Appendf(nil, `{"metadata" : %d}`, number)
	case "$projections-$all":
		one.Type, one.ContentType, one.Data = "$ProjectionCreated", "application/octet-stream", []byte("$streams")
	case "$projections-$master":
		one.Type = "$statistics-report"
	default:
		one.Type = "$statsCollected"
	}
	return one
}

func datasetNumber(stream string, revision uint64) uint64 {
	number := revision % datasetTypes
	if stream == secondDataset {
		number += 1_800
	}
	return number
}

func datasetType(stream string, revision uint64) string {
	return fmt.Sprintf("eventType-%d", datasetNumber(stream, revision))
}

// setTimes gives made-up events times between those of the events around them.
func setTimes(all []record) {
	before := 0 // the last that has a time; the first of the log is told
	for i := range all {
		if all[i].Created.IsZero() {
			continue
		}
		span, pause := all[i].Position-all[before].Position, all[i].Created.Sub(all[before].Created)
		for j := before + 1; j < i; j++ {
			share := float64(all[j].Position-all[before].Position) / float64(span)
			all[j].Created = all[before].Created.Add(time.Duration(share * float64(pause))).Truncate(time.Microsecond)
		}
		before = i
	}
}

// check returns why a store could not hold these events.
func check(all []record) error {
	next := map[string]uint64{}
	for i, one := range all {
		switch {
		case i > 0 && one.Position <= all[i-1].Position:
			return fmt.Errorf("%w: two events at position %d", errContradiction, one.Position)
		case i > 0 && one.Created.Before(all[i-1].Created):
			return fmt.Errorf("%w: the event at position %d is older than the one before", errContradiction, one.Position)
		case one.Revision != next[one.Stream]:
			return fmt.Errorf("%w: stream %s goes from revision %d to %d", errContradiction, one.Stream, int64(next[one.Stream])-1, one.Revision)
		}
		next[one.Stream]++
	}
	return nil
}

// writeDataset writes events as lines that event-store import reads.
func writeDataset(to io.Writer, all []record) error {
	encoder := json.NewEncoder(to)
	for i := range all {
		if err := encoder.Encode(&all[i]); err != nil {
			return fmt.Errorf("write the populated database: %w", err)
		}
	}
	return nil
}
