package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triangle-suite/triangle/services/eventstore/internal/journal"
)

// index finds events by stream and revision, and knows the state of each
// stream. It holds nothing that the journal does not: it is written without a
// log of its own, and what it lost in a crash is read from the journal again.
type index struct {
	db     *pebble.DB
	faults *faults
}

const (
	blockCacheSize = 64 << 20
	// memTableSize bounds how much of the index is only in memory, and so how
	// much of the journal is read when the store is opened.
	memTableSize = 8 << 20
	bloomBits    = 10
)

// openMode tells what an index is opened for.
type openMode int

const (
	readWrite openMode = iota
	readOnly
)

// openIndex opens the index. Its format is named, and not "the newest", so that
// a newer pebble does not upgrade a folder that an older binary may still have
// to read.
func openIndex(fs vfs.FS, dir string, mode openMode, opts Options, faults *faults) (_ *index, err error) {
	defer func() { // by which pebble tells that it can't read a file's end
		if r := recover(); r != nil {
			err = fmt.Errorf("open the index: %w: %v", errBrokenIndex, r)
		}
	}()
	guard := &guard{FS: fs, faults: faults}
	cache := pebble.NewCache(blockCacheSize)
	defer cache.Unref()
	options := &pebble.Options{
		FS:                 guard,
		Cache:              cache,
		DisableWAL:         true,
		ReadOnly:           mode == readOnly,
		MemTableSize:       opts.memTable,
		FormatMajorVersion: pebble.FormatValueSeparation,
		Logger:             faults,
		// Pebble would try again for ever, and writers would wait.
		EventListener: &pebble.EventListener{BackgroundError: faults.fail},
	}
	for i := range options.Levels {
		// Most look-ups are of stream states, and many are of new streams.
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
	}
	db, err := pebble.Open(dir, options)
	if err != nil {
		return nil, fmt.Errorf("open the index: %w", err)
	}
	if err := faults.err(); err != nil {
		return nil, fmt.Errorf("open the index: %w", err)
	}
	guard.parks.Store(true)
	return &index{db: db, faults: faults}, nil
}

// isBroken tells whether opening an index failed because of what its files
// hold, or because one is missing, and not because the disk failed. A power cut
// may leave such an index: pebble syncs the names of a manifest and of the file
// that points to it together, and the disk may keep the second alone.
func isBroken(err error) bool {
	return pebble.IsCorruptionError(err) || errors.Is(err, os.ErrNotExist) || errors.Is(err, errBrokenIndex)
}

var errBrokenIndex = errors.New("the index can't be read")

// entry is what the index learns of an event.
type entry struct {
	stream   string
	revision int64
	position uint64
}

// head is the state that a stream has come to.
type head struct {
	stream string
	state  []byte // encoded
}

// add adds what a group wrote. All of it is seen at once.
func (x *index) add(entries []entry, heads []head, last uint64) error {
	batch := x.db.NewBatch()
	for i := range entries {
		e := &entries[i]
		op := batch.SetDeferred(1+uvarintLen(uint64(len(e.stream)))+len(e.stream)+8, positionLen)
		key := append(op.Key[:0], indexTable)
		key = binary.AppendUvarint(key, uint64(len(e.stream)))
		key = append(key, e.stream...)
		binary.BigEndian.AppendUint64(key, uint64(e.revision))
		binary.BigEndian.PutUint64(op.Value, e.position)
		must(op.Finish())
	}
	for i := range heads {
		op := batch.SetDeferred(1+len(heads[i].stream), len(heads[i].state))
		op.Key[0] = headTable
		copy(op.Key[1:], heads[i].stream)
		copy(op.Value, heads[i].state)
		must(op.Finish())
	}
	must(batch.Set([]byte{markTable}, encodePosition(last), nil))
	if err := batch.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("write the index: %w", err)
	}
	return batch.Close()
}

// remove removes events that are gone from the journal, durably.
func (x *index) remove(entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	batch := x.db.NewBatch()
	for _, e := range entries {
		must(batch.Delete(indexKey(e.stream, e.revision), nil))
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return err
	}
	flushed, err := x.db.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-flushed:
		return batch.Close()
	case <-x.faults.failed: // it may never end
		return x.faults.err()
	}
}

// describe tells what a key of the index stands for.
func describe(key []byte) string {
	if len(key) == 0 {
		return "no key"
	}
	switch rest := key[1:]; key[0] {
	case headTable:
		return fmt.Sprintf("the state of stream %q", rest)
	case indexTable:
		length, n := binary.Uvarint(rest)
		if n > 0 && uint64(len(rest)) == uint64(n)+length+8 {
			name := rest[n : n+int(length)]
			return fmt.Sprintf("revision %d of stream %q", binary.BigEndian.Uint64(rest[n+int(length):]), name)
		}
	case markTable:
		return "the position of the last event"
	}
	return fmt.Sprintf("key %x", key)
}

// must is for writes to a batch, which lives in memory: they fail only on a
// batch that is committed already, which is a defect of this package.
func must(err error) {
	if err != nil {
		panic(fmt.Errorf("write the index: %w", err)) //nolint:forbidigo // no input leads here, see above
	}
}

// last is the position of the last event that is indexed, 0 when none is.
func (x *index) last() (position uint64, err error) {
	err = get(x.db, []byte{markTable}, func(value []byte) error {
		position, err = decodePosition(value)
		return err
	})
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	return position, err
}

// catchUp reads from the journal what the index does not know.
func (x *index) catchUp(log *journal.Journal) error {
	last, err := x.last()
	if err != nil {
		return fmt.Errorf("read the index: %w", err)
	}
	if last > log.Last() {
		return &journal.Damage{
			Position: log.Last(),
			What:     fmt.Sprintf("it ends there, but events up to position %d were acknowledged", last),
		}
	}
	r := replay{index: x, states: newStates(x.db)}
	for record, err := range log.Forward(last+1, log.Place().End()) {
		if err != nil {
			return err
		}
		if err := r.take(record); err != nil {
			return err
		}
	}
	return r.flush()
}

// replay indexes events that were written before.
type replay struct {
	index   *index
	states  *states
	entries []entry
	last    uint64
}

// replayed is how many events are indexed at once.
const replayed = 1 << 12

func (r *replay) take(from journal.Record) error {
	record, err := decodeRecord(from.Position, from.Payload)
	if err != nil {
		return err
	}
	event := record.Event()
	if err := r.states.evolve(&event); err != nil {
		return err
	}
	r.entries = append(r.entries, entry{event.Stream, event.Revision, event.Position})
	r.last = event.Position
	if len(r.entries) < replayed {
		return nil
	}
	return r.flush()
}

func (r *replay) flush() error {
	if len(r.entries) == 0 {
		return nil
	}
	err := r.index.add(r.entries, r.states.heads(), r.last)
	r.entries = r.entries[:0]
	r.states = newStates(r.index.db)
	return err
}
