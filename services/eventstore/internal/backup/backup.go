// Package backup keeps what a running store holds in a file, in the form of package
// dump: whatever store it is that speaks EventStoreDB's protocol.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triangle-suite/triangle/services/eventstore/internal/dump"
	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
)

// Reasons for which a backup fails, tested with errors.Is.
var (
	// ErrOther says that the file does not hold what this store holds: it is another
	// store's, or the store has been restored since, or scavenged.
	ErrOther = errors.New("the file ends with an event that the store does not have there: keep it, and begin another file")
	// ErrBusy says that another backup writes to the file.
	ErrBusy = errors.New("another backup writes to the file")
)

// Continue adds the events to a file that the store holds and the file does not, and
// returns how many they are; where there is no file it makes one. Broken off at any
// time it leaves the first events of the store, and the next one goes on from there.
// What has been added is durable when it returns without an error. The store goes on
// meanwhile; events that are appended while it reads may be in the file or not.
func Continue(ctx context.Context, store *esdb.Client, path string) (added int, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return 0, fmt.Errorf("open the backup: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	lock, err := vfs.Default.Lock(path + ".lock")
	if err != nil {
		return 0, fmt.Errorf("%w (%s): %w", ErrBusy, path, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	last, err := end(file)
	if err != nil {
		return 0, fmt.Errorf("read the end of %s: %w", path, err)
	}
	if added, err = dump.Write(file, after(ctx, store, last)); err != nil {
		return added, err
	}
	return added, file.Sync()
}

// errNoBackup says that a file is somebody's who did not mean it.
var errNoBackup = errors.New("it is no backup: name another file")

// end cuts off a line that was broken off, leaves the file to be written behind its
// last whole one, and returns the event of that; nil when there is none. A file of
// something else stays as it is.
func end(file *os.File) (*storage.Event, error) {
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	whole, err := newlineBefore(file, size)
	if err != nil {
		return nil, err
	}
	last, err := eventBefore(file, whole)
	if err == nil {
		err = checkBegun(io.NewSectionReader(file, whole, size-whole))
	}
	if err == nil {
		err = file.Truncate(whole)
	}
	if err == nil {
		_, err = file.Seek(whole, io.SeekStart)
	}
	return last, err
}

// eventBefore reads the line that ends at an offset; nil at the beginning.
func eventBefore(file io.ReaderAt, whole int64) (*storage.Event, error) {
	if whole == 0 {
		return nil, nil //nolint:nilnil // there is none, and nothing is wrong
	}
	begin, err := newlineBefore(file, whole-1)
	if err != nil {
		return nil, err
	}
	for e, err := range dump.Read(io.NewSectionReader(file, begin, whole-begin)) {
		if err != nil {
			return nil, fmt.Errorf("%w (%w)", errNoBackup, err)
		}
		return &e, nil
	}
	return nil, errNoBackup
}

// checkBegun fails unless a rest is the beginning of an event's line, or empty.
func checkBegun(rest io.Reader) error {
	begun := make([]byte, len(dump.Begin))
	n, err := io.ReadFull(rest, begun)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if !strings.HasPrefix(dump.Begin, string(begun[:n])) {
		return errNoBackup
	}
	return nil
}

// newlineBefore returns the offset behind the last newline before an offset; 0 when
// there is none.
func newlineBefore(file io.ReaderAt, offset int64) (int64, error) {
	block := make([]byte, 64<<10)
	for offset > 0 {
		n := min(offset, int64(len(block)))
		if _, err := file.ReadAt(block[:n], offset-n); err != nil {
			return 0, err
		}
		for i := n - 1; i >= 0; i-- {
			if block[i] == '\n' {
				return offset - n + i + 1, nil
			}
		}
		offset -= n
	}
	return 0, nil
}

// after reads what the store holds behind an event, which has to be there; nil: all.
func after(ctx context.Context, store *esdb.Client, last *storage.Event) iter.Seq2[storage.Event, error] {
	return func(yield func(storage.Event, error) bool) {
		var from esdb.AllPosition = esdb.Start{}
		if last != nil {
			from = esdb.Position{Commit: last.Position, Prepare: last.Position}
		}
		events, err := store.ReadAll(ctx, esdb.ReadAllOptions{From: from}, math.MaxUint64)
		if err != nil {
			yield(storage.Event{}, fmt.Errorf("read the store: %w", err))
			return
		}
		defer events.Close()
		e, err := next(events)
		if last != nil {
			switch {
			case errors.Is(err, io.EOF), err == nil && (e.Position != last.Position || e.ID != last.ID):
				err = ErrOther
			case err == nil:
				e, err = next(events)
			}
		}
		for ; !errors.Is(err, io.EOF) && yield(e, err) && err == nil; e, err = next(events) {
		}
	}
}

// next fails with io.EOF when there is no other one.
func next(events *esdb.ReadStream) (storage.Event, error) {
	resolved, err := events.Recv()
	if err != nil {
		return storage.Event{}, fmt.Errorf("read the store: %w", err)
	}
	return eventOf(resolved.OriginalEvent()), nil
}

func eventOf(r *esdb.RecordedEvent) storage.Event {
	return storage.Event{
		NewEvent: storage.NewEvent{
			ID: r.EventID, Type: r.EventType, JSON: r.ContentType == dump.ContentJSON, Data: r.Data, Metadata: r.UserMetadata,
		},
		Stream: r.StreamID, Revision: int64(r.EventNumber), Position: r.Position.Commit, Created: storage.TicksOf(r.CreatedDate),
	}
}
