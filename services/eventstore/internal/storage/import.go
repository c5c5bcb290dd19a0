package storage

import (
	"errors"
	"fmt"
	"iter"

	"github.com/triangle-suite/triangle/services/eventstore/internal/journal"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// ErrNotEmpty says that a folder holds something already.
var ErrNotEmpty = errors.New("events are imported into a new folder")

// importChunk is about how large the chunks of an import are.
const importChunk = 32 << 20

// Import makes a store in folder dir, which is new or empty, of events that
// keep their positions, revisions and times. They come in the order of their
// positions, which are above 0; the revisions of a stream ascend. When it
// fails there is no store.
func Import(dir string, opts Options, events iter.Seq2[Event, error]) (imported int, err error) {
	opts = opts.withDefaults()
	fs := opts.FS
	if err := makeFolder(fs, dir); err != nil {
		return 0, fmt.Errorf("make the data folder: %w", err)
	}
	if _, err := fs.Stat(fs.PathJoin(dir, markerFile)); err == nil {
		return 0, fmt.Errorf("%w: %s holds an event store", ErrNotEmpty, dir)
	}
	if err := checkEmpty(fs, dir); err != nil {
		return 0, errors.Join(ErrNotEmpty, err)
	}
	if err := makeFolders(fs, dir); err != nil {
		return 0, fmt.Errorf("make the data folder: %w", err)
	}
	i := importer{opts: opts, dir: fs.PathJoin(dir, journalFolder), revisions: make(map[string]int64)}
	if err := i.run(events); err != nil {
		return 0, errors.Join(err, fs.RemoveAll(i.dir), fs.RemoveAll(fs.PathJoin(dir, indexFolder)))
	}
	if err := writeMarker(fs, dir, fs.PathJoin(dir, markerFile)); err != nil {
		return 0, fmt.Errorf("mark the data folder: %w", err)
	}
	store, err := Open(dir, opts) // which makes the index
	if err != nil {
		return 0, err
	}
	return i.count, store.Close()
}

// importer is one run of Import.
type importer struct {
	opts      Options
	dir       string
	packer    *journal.Packer
	revisions map[string]int64 // the last one of each stream
	last      uint64
	count     int
	record    []byte
}

func (i *importer) run(events iter.Seq2[Event, error]) error {
	for e, err := range events {
		if err == nil {
			err = i.check(&e)
		}
		if err == nil {
			err = i.add(&e)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("event %d: %w", i.count+1, err), i.abandon())
		}
		i.count++
	}
	if i.packer == nil {
		return nil
	}
	return i.packer.Commit()
}

func (i *importer) abandon() error {
	if i.packer == nil {
		return nil
	}
	return i.packer.Abandon()
}

var errImpossible = errors.New("no store can hold it")

func (i *importer) check(e *Event) error {
	last, known := i.revisions[e.Stream]
	switch {
	case e.Position <= i.last:
		return fmt.Errorf("%w: position %d follows position %d", errImpossible, e.Position, i.last)
	case e.Stream == "" || e.Stream == stream.All:
		return fmt.Errorf("%w: %w: %q", errImpossible, ErrInvalidName, e.Stream)
	case e.Type == "":
		return fmt.Errorf("%w: it has no type", errImpossible)
	case e.Revision < 0 || known && e.Revision <= last:
		return fmt.Errorf("%w: revision %d of stream %q follows revision %d", errImpossible, e.Revision, e.Stream, last)
	}
	i.revisions[e.Stream] = e.Revision
	return nil
}

func (i *importer) add(e *Event) error {
	if err := i.begin(e.Position); err != nil {
		return err
	}
	i.last = e.Position
	i.record = appendRecord(i.record[:0], e)
	return i.packer.Add(journal.Record{Position: e.Position, Payload: i.record})
}

// begin begins a chunk when it is time.
func (i *importer) begin(position uint64) (err error) {
	base := position
	switch {
	case i.packer == nil:
		base = 0
	case i.packer.Size() < importChunk:
		return nil
	default:
		if err := i.packer.Commit(); err != nil {
			i.packer = nil
			return err
		}
	}
	i.packer, err = journal.NewPacker(i.opts.FS, i.dir, base, i.last)
	return err
}
