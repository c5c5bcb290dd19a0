package storage

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// stage is one group on its way to the disk: the batch, and the state of the
// streams that it leaves.
type stage struct {
	w      *writer
	batch  *pebble.Batch
	states map[string]*stagedState
	events []stagedEvent
	last   uint64
	next   uint64
	now    Ticks
}

type stagedState struct {
	stream.State
	dirty bool
}

// stagedEvent is what must be known of an event that no reader sees yet.
type stagedEvent struct {
	id uuid.UUID
	place
}

func newStage(w *writer) *stage {
	return &stage{
		w:      w,
		batch:  w.store.db.NewBatch(),
		states: make(map[string]*stagedState, len(w.group)),
		last:   w.last,
		next:   w.next,
		now:    TicksOf(w.store.opts.Now()),
	}
}

// apply decides c and stages what it writes.
func (st *stage) apply(c *command) (Written, error) {
	state, err := st.state(c.stream)
	if err != nil {
		return Written{}, err
	}
	ids := make([]uuid.UUID, len(c.events), len(c.events)+1)
	for i := range c.events {
		ids[i] = c.events[i].ID
	}
	if c.kind != appendEvents {
		ids = append(ids, uuid.New()) // a deletion is a write of one event
	}
	history := &history{stage: st, stream: c.stream}
	decision, err := stream.Decide(state.State, c.expected, ids, history)
	if err != nil {
		return Written{}, err
	}
	switch decision.Outcome {
	case stream.Deleted:
		return Written{}, fmt.Errorf("%w: %q", ErrDeleted, c.stream)
	case stream.WrongVersion:
		return Written{}, &WrongVersionError{Stream: c.stream, Expected: c.expected, Current: state.Last}
	case stream.Repeated:
		position, err := history.positionAt(decision.Last)
		return Written{Last: decision.Last, Position: position}, err
	}
	switch c.kind {
	case softDelete:
		return st.softDelete(c.stream, ids[0])
	case tombstone:
		return st.tombstone(c.stream, state, ids[0])
	default:
		return st.append(c.stream, state, c.events)
	}
}

// append stages events. When they bring a deleted stream back, what was there
// before stays hidden: its metadata follows with a new truncation point.
func (st *stage) append(name string, state *stagedState, events []NewEvent) (Written, error) {
	if len(events) == 0 {
		return Written{Last: state.Last, Position: st.last}, nil
	}
	revive, err := st.revival(name, state, events)
	if err != nil {
		return Written{}, err
	}
	for i := range events {
		st.put(name, state, state.Last+1, events[i])
	}
	written := Written{Last: state.Last, Position: st.last}
	if original, ok := stream.OriginalOf(name); ok {
		if err := st.applyMetadata(original, events[len(events)-1]); err != nil {
			return Written{}, err
		}
	}
	if revive != nil {
		return written, st.putMetadata(revive.stream, uuid.New(), revive.metadata)
	}
	return written, nil
}

// revival is the metadata that brings a stream back.
type revival struct {
	stream   string
	metadata []byte
}

// revival returns what must follow an append of events to stream name: nil
// unless they bring a softly deleted stream back, by writing to it or to its
// metadata.
func (st *stage) revival(name string, state *stagedState, events []NewEvent) (*revival, error) {
	if original, ok := stream.OriginalOf(name); ok {
		of, err := st.state(original)
		if err != nil || !of.SoftDeleted() {
			return nil, err
		}
		metadata, err := stream.Undeleted(events[len(events)-1].Data, of.Last+1)
		return &revival{original, metadata}, err
	}
	if !state.SoftDeleted() {
		return nil, nil
	}
	before, err := st.metadata(name)
	if err != nil {
		return nil, err
	}
	metadata, err := stream.Undeleted(before, state.Last+1)
	return &revival{name, metadata}, err
}

func (st *stage) softDelete(name string, id uuid.UUID) (Written, error) {
	state, err := st.state(name)
	if err != nil {
		return Written{}, err
	}
	if err := st.putMetadata(name, id, stream.DeletedMetadata()); err != nil {
		return Written{}, err
	}
	return Written{Last: state.Last, Position: st.last}, nil
}

func (st *stage) tombstone(name string, state *stagedState, id uuid.UUID) (Written, error) {
	last := state.Last
	st.put(name, state, stream.MaxRevision, NewEvent{ID: id, Type: stream.TombstoneType})
	state.Last, state.Tombstoned = last, true
	return Written{Last: stream.MaxRevision, Position: st.last}, nil
}

// putMetadata stages metadata of stream name, and the limits that it sets.
func (st *stage) putMetadata(name string, id uuid.UUID, metadata []byte) error {
	metaName := stream.MetadataOf(name)
	metaState, err := st.state(metaName)
	if err != nil {
		return err
	}
	event := NewEvent{ID: id, Type: stream.MetadataType, JSON: true, Data: metadata}
	st.put(metaName, metaState, metaState.Last+1, event)
	return st.applyMetadata(name, event)
}

// applyMetadata makes the limits in a metadata event those of stream name.
func (st *stage) applyMetadata(name string, event NewEvent) error {
	state, err := st.state(name)
	if err != nil {
		return err
	}
	state.HasMetadata, state.dirty = true, true
	state.Limits = stream.Limits{}
	if event.Type == stream.MetadataType {
		state.Limits = stream.ParseLimits(event.Data)
	}
	return nil
}

// put stages one event and moves on.
func (st *stage) put(name string, state *stagedState, revision int64, event NewEvent) {
	e := Event{NewEvent: event, Stream: name, Revision: revision, Position: st.next, Created: st.now}
	length := recordLen(&e)
	op := st.batch.SetDeferred(eventKeyLen, length)
	putEventKey(op.Key, e.Position)
	appendRecord(op.Value[:0], &e)
	must(op.Finish())
	key := eventKey(e.Position)
	must(st.batch.Set(indexKey(name, revision), key[1:], nil))

	at := place{stream: name, revision: revision, position: e.Position}
	st.events = append(st.events, stagedEvent{id: e.ID, place: at})
	st.w.ids.add(e.ID, at) // before the sync: when that fails, nothing is answered any more
	state.Last, state.dirty = revision, true
	st.last, st.next = st.next, st.next+uint64(length)
}

// must is for writes to a batch, which lives in memory: they fail only on a
// batch that is committed already, which is a defect of this package.
func must(err error) {
	if err != nil {
		panic(fmt.Errorf("stage an event: %w", err)) //nolint:forbidigo // no input leads here, see above
	}
}

// state returns the state of a stream as the group so far leaves it.
func (st *stage) state(name string) (*stagedState, error) {
	if state, ok := st.states[name]; ok {
		return state, st.inherit(name, state)
	}
	loaded, err := loadState(st.w.store.db, name)
	if err != nil {
		return nil, err
	}
	state := &stagedState{State: loaded}
	st.states[name] = state
	return state, st.inherit(name, state)
}

// inherit gives a metadata stream the end of the stream that it belongs to.
func (st *stage) inherit(name string, state *stagedState) error {
	original, ok := stream.OriginalOf(name)
	if !ok || original == "" || state.Tombstoned {
		return nil
	}
	of, err := st.state(original)
	if err == nil {
		state.Tombstoned = of.Tombstoned
	}
	return err
}

// metadata returns the metadata of stream name, nil when it has none.
func (st *stage) metadata(name string) ([]byte, error) {
	metaName := stream.MetadataOf(name)
	state, err := st.state(metaName)
	if err != nil || state.Last == stream.None {
		return nil, err
	}
	history := &history{stage: st, stream: metaName}
	position, err := history.positionAt(state.Last)
	if err != nil {
		return nil, err
	}
	var data []byte
	err = st.record(position, func(r Record) { data = append(data, r.data...) })
	return data, err
}

// record reads an event from the store or, when it is of this group, from the
// batch.
func (st *stage) record(position uint64, use func(Record)) error {
	read := func(value []byte) error {
		r, err := decodeRecord(position, value)
		if err == nil {
			use(r)
		}
		return err
	}
	if position < st.w.next {
		return get(st.w.store.db, eventKey(position), read)
	}
	for reader := st.batch.Reader(); ; {
		kind, key, value, ok, err := reader.Next()
		if err != nil || !ok {
			return errors.Join(errMissingEvent, err)
		}
		if kind == pebble.InternalKeyKindSet && string(key) == string(eventKey(position)) {
			return read(value)
		}
	}
}

var errMissingEvent = errors.New("an event that the index names is missing")

// commit makes the group durable, all of it or nothing.
func (st *stage) commit() error {
	faults := st.w.store.faults
	if err := faults.err(); err != nil {
		return err
	}
	if st.last == st.w.last {
		return st.batch.Close()
	}
	for name, state := range st.states {
		if state.dirty {
			must(st.batch.Set(headKey(name), encodeState(state.State), nil))
		}
	}
	durability := pebble.Sync
	if st.w.store.opts.noSync {
		durability = pebble.NoSync
	}
	if err := st.batch.Commit(durability); err != nil {
		faults.fail(err)
	}
	if err := faults.err(); err != nil {
		return err // also what failed beside this write, in the background
	}
	return st.batch.Close()
}
