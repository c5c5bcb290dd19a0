package eventstore

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/triangle-suite/triangle/services/eventstore/internal/backup"
	"github.com/triangle-suite/triangle/services/eventstore/internal/dump"
	"github.com/triangle-suite/triangle/services/eventstore/internal/journal"
	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
)

// More reasons for which work on the data of a store fails, tested with
// errors.Is.
var (
	ErrOlderFormat  = storage.ErrOlderFormat
	ErrNoStore      = storage.ErrNoStore
	ErrNotEmpty     = storage.ErrNotEmpty
	ErrDamaged      = journal.ErrDamaged
	ErrIndexDamaged = storage.ErrIndexDamaged
	ErrOtherBackup  = backup.ErrOther
	ErrBackupBusy   = backup.ErrBusy
)

// Verified is what Verify has read.
type Verified = storage.Verified

// Scavenged is what Scavenge has done.
type Scavenged = storage.Scavenged

// Verify reads all of the data of a store that does not run, and reports each
// damage: an ErrDamaged names the file and the place in it; an ErrIndexDamaged
// is mended by Reindex. It changes nothing. Its own error says that it could
// not read.
func Verify(data Data, report func(error)) (Verified, error) {
	return storage.Verify(data.dir, storage.Options{FS: data.fs}, report)
}

// Scavenge removes for good, from a store that does not run, the events that
// streams' metadata hides and those of deleted streams. What stays keeps its
// position. The last event of a stream always stays.
func Scavenge(data Data, logger *slog.Logger) (Scavenged, error) {
	return storage.Scavenge(data.dir, storage.Options{FS: data.fs, Logger: logger})
}

// Reindex lets a store that does not run make its index again when it is
// started next.
func Reindex(data Data) error {
	return storage.Reindex(data.dir, storage.Options{FS: data.fs})
}

// Export writes all events of a store that does not run to w, in the order of
// their positions, a line of JSON each, and returns how many they are.
func Export(data Data, w io.Writer) (events int, err error) {
	store, err := storage.Open(data.dir, storage.Options{FS: data.fs, Existing: true})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	view, err := store.View()
	if err != nil {
		return 0, err
	}
	defer view.Release()
	return dump.Write(w, func(yield func(storage.Event, error) bool) {
		for record, err := range view.All(0, storage.Forward) {
			var e storage.Event
			if err == nil {
				e = record.Event()
			}
			if !yield(e, err) {
				return
			}
		}
	})
}

// Backup adds to a file the events that a running store holds and the file does not,
// as Export writes them, and returns how many they are: in a new file, all. Broken
// off at any time it leaves the store's first events, and the next one goes on from
// there. It fails with ErrBackupBusy, and with ErrOtherBackup when the file does not
// hold what this store holds.
func Backup(ctx context.Context, store *esdb.Client, path string) (events int, err error) {
	return backup.Continue(ctx, store, path)
}

// Import makes a new store of the events that r holds as Export writes them,
// and returns how many they are. They keep their positions, revisions and
// times. When it fails there is no store.
func Import(data Data, r io.Reader) (events int, err error) {
	return storage.Import(data.dir, storage.Options{FS: data.fs}, dump.Read(r))
}
