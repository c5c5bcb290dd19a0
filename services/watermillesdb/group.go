package watermillesdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// recordType is the type of a group's records; recordsKept how many of them its
// stream keeps.
const (
	recordType  = "watermillgroup.Record"
	recordsKept = 10
)

// progress is how far a topic has been processed.
type progress struct {
	// Next is the revision of the first message that has not been.
	Next uint64 `json:"next"`
	// Last is the event before, by which the topic is known again.
	Last uuid.UUID `json:"last"`
}

// record is what a group's stream says of a topic.
type record struct {
	// Owner is who has the topic; uuid.Nil when nobody has.
	Owner uuid.UUID `json:"owner"`
	// Lease is for how long, from the time of the record on.
	Lease time.Duration `json:"lease_ns"`
	progress
}

// stored is a group's latest record, and where it stands.
type stored struct {
	record
	expected eventlog.Expected
}

// group is a consumer group's share in one topic.
type group struct {
	log    eventlog.Log
	stream string
	lease  time.Duration
}

// look returns the latest record; the zero one for a group that is new.
func (g *group) look(ctx context.Context) (stored, error) {
	latest := stored{expected: eventlog.NoStream}
	for event, err := range g.log.ReadStream(ctx, g.stream, eventlog.Backward, math.MaxUint64, 1) {
		switch {
		case errors.Is(err, eventlog.ErrNoStream):
			return latest, nil
		case err != nil:
			return latest, fmt.Errorf("look how far the group has come: %w", err)
		}
		if err := latest.read(event); err != nil {
			return latest, err
		}
	}
	return latest, nil
}

func (s *stored) read(event eventlog.Event) error {
	if event.Type != recordType {
		return fmt.Errorf("event %d of %s is a %s: the stream of a consumer group's records holds nothing else", event.Revision, event.Stream, event.Type)
	}
	var latest record
	if err := json.Unmarshal(event.Data, &latest); err != nil {
		return fmt.Errorf("read the group's record %d of %s: %w", event.Revision, event.Stream, err)
	}
	s.record = latest
	s.expected = eventlog.At(event.Revision)
	return nil
}

// free waits until nobody has the topic: it was given up, or its holder has not
// renewed it for a lease, by this side's clock.
func (g *group) free(ctx context.Context) (stored, error) {
	latest, err := g.look(ctx)
	if err != nil || latest.Owner == uuid.Nil {
		return latest, err
	}
	revision, _ := latest.expected.Revision()
	records, err := g.log.SubscribeStream(ctx, g.stream, eventlog.StreamOptions{From: revision + 1})
	if err != nil {
		return latest, fmt.Errorf("stand by: %w", err)
	}
	defer records.Close()
	silence := time.NewTimer(latest.Lease)
	defer silence.Stop()
	for latest.Owner != uuid.Nil {
		select {
		case <-silence.C:
			return latest, nil
		case message, ok := <-records.Messages():
			if !ok {
				return latest, fmt.Errorf("stand by: %w", records.Err())
			}
			if message.Kind != eventlog.KindEvent {
				continue
			}
			if err := latest.read(message.Event); err != nil {
				return latest, err
			}
			silence.Reset(latest.Lease)
		}
	}
	return latest, nil
}

// errLost says that another one has the topic, or may have it soon.
var errLost = errors.New("the lease has not been renewed in time, or another one has taken it")

// take waits until the topic is free and takes it. Many may try: the expected
// revision lets one of them.
func (g *group) take(ctx context.Context) (*holding, error) {
	for {
		latest, err := g.free(ctx)
		if err != nil {
			return nil, err
		}
		h := &holding{group: g, owner: uuid.New(), expected: latest.expected, done: latest.progress, kept: latest.progress}
		err = h.claim(ctx)
		switch {
		case errors.Is(err, errLost):
			continue
		case err != nil:
			return nil, err
		}
		if err := g.log.SetMaxCount(ctx, g.stream, recordsKept); err != nil {
			return h, fmt.Errorf("bound the group's records: %w", err)
		}
		return h, nil
	}
}

// holding is a topic that its holder has, until its lease ends.
type holding struct {
	group *group
	owner uuid.UUID

	expected   eventlog.Expected // of the next record
	done, kept progress          // what has been acked, and what is on record of it
	until      time.Time         // when the holder has to have stopped
	renewed    time.Time         // since when the latest record counts
	unsure     *attempt          // a record of which nobody knows whether it was written
}

// attempt is a record that is being written.
type attempt struct {
	event eventlog.NewEvent
	done  progress
	began time.Time
}

// share is how much of a lease its holder uses. The rest is for a holder that
// sees late that its time is over, and for clocks that do not run alike.
const share = 2.0 / 3

// keep writes down what has been acked since the latest record, and renews the
// lease in time. What fails while the lease lasts is tried again.
func (h *holding) keep(ctx context.Context) error {
	due := time.Since(h.renewed) >= h.group.lease/3
	if h.done == h.kept && !due && h.unsure == nil {
		return nil
	}
	until, cancel := context.WithDeadline(ctx, h.until)
	defer cancel()
	err := h.renew(until)
	if err != nil && !errors.Is(err, errLost) && time.Now().Before(h.until) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return nil
}

// renew writes a record by which the holder has the topic for another lease.
func (h *holding) renew(ctx context.Context) error {
	if err := h.settle(ctx); err != nil {
		return err
	}
	return h.write(ctx, record{Owner: h.owner, Lease: h.group.lease, progress: h.done})
}

// release writes down what has been acked, and that the topic is free.
func (h *holding) release(ctx context.Context) error {
	if err := h.settle(ctx); err != nil {
		return err
	}
	return h.write(ctx, record{progress: h.done})
}

// write appends a record. With an error it is not sure whether it was.
func (h *holding) write(ctx context.Context, r record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write a record of the group: %w", err)
	}
	h.unsure = &attempt{
		event: eventlog.NewEvent{ID: uuid.New(), Type: recordType, Data: data},
		done:  r.progress, began: time.Now(),
	}
	return h.settle(ctx)
}

// claim writes a holder's first record. While nobody knows whether it was
// written it is tried again: a claim that is left behind keeps everybody out for
// a lease.
func (h *holding) claim(ctx context.Context) error {
	began, pause := time.Now(), newPause()
	err := h.renew(ctx)
	for errors.Is(err, eventlog.ErrUnavailable) && time.Since(began) < h.group.lease/2 {
		if err := wait(ctx, pause.NextBackOff()); err != nil {
			return err
		}
		err = h.settle(ctx)
	}
	return err
}

// settle writes the record of which nobody knows, if there is one. Its lease
// counts from the first attempt.
func (h *holding) settle(ctx context.Context) error {
	u := h.unsure
	if u == nil {
		return nil
	}
	revision, err := h.group.ensure(ctx, h.expected, u.event)
	if err != nil {
		return err
	}
	h.expected, h.kept, h.renewed, h.unsure = eventlog.At(revision), u.done, u.began, nil
	h.until = u.began.Add(time.Duration(share * float64(h.group.lease)))
	return nil
}

// ensure appends event after the expected revision, unless it is there already,
// and returns where. It fails with errLost when another event is there.
func (g *group) ensure(ctx context.Context, expected eventlog.Expected, event eventlog.NewEvent) (uint64, error) {
	appended, err := g.log.Append(ctx, g.stream, expected, event)
	if err == nil {
		return appended.Revision, nil
	}
	if !errors.Is(err, eventlog.ErrWrongRevision) {
		return 0, fmt.Errorf("keep how far the group has come: %w", err)
	}
	next := uint64(0)
	if revision, ok := expected.Revision(); ok {
		next = revision + 1
	}
	for there, err := range g.log.ReadStream(ctx, g.stream, eventlog.Forward, next, 1) {
		if err != nil {
			return 0, fmt.Errorf("look who has the topic: %w", err)
		}
		if there.ID == event.ID {
			return there.Revision, nil
		}
	}
	return 0, errLost
}

// held fails when the lease is over, as it is for a holder that was frozen.
func (h *holding) held() error {
	if time.Now().After(h.until) {
		return errLost
	}
	return nil
}

// errEmpty says that a topic has no messages, and the group has processed some:
// it was deleted, and goes on with the next message, or it is another store's.
var errEmpty = errors.New("the topic is empty, and the group has processed messages of it")

// verify checks that a topic's stream is the one that the group has processed.
// Where retention has removed what the group processed last, nobody can tell.
func (p progress) verify(ctx context.Context, log eventlog.Log, stream string) error {
	if p.Next == 0 {
		return nil
	}
	for last, err := range log.ReadStream(ctx, stream, eventlog.Backward, math.MaxUint64, 1) {
		switch {
		case errors.Is(err, eventlog.ErrNoStream):
			return fmt.Errorf("%s: %w", stream, errEmpty)
		case err != nil:
			return fmt.Errorf("look whether the topic is the same: %w", err)
		case last.Revision < p.Next-1:
			return fmt.Errorf("%w: %s ends at %d, and the group has processed it up to %d", ErrOtherStore, stream, last.Revision, p.Next-1)
		}
	}
	for event, err := range log.ReadStream(ctx, stream, eventlog.Forward, p.Next-1, 1) {
		switch {
		case err != nil:
			return fmt.Errorf("look whether the topic is the same: %w", err)
		case event.Revision == p.Next-1 && event.ID != p.Last:
			return fmt.Errorf("%w: %s has event %s at %d, where the group has processed %s", ErrOtherStore, stream, event.ID, event.Revision, p.Last)
		}
	}
	return nil
}
