package storage

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triangle-suite/triangle/services/eventstore/internal/journal"
)

// ErrNoStore says that a folder holds no event store.
var ErrNoStore = errors.New("there is no event store in the folder")

// hold takes the store in folder dir for itself, without opening it.
func hold(dir string, opts Options) (io.Closer, error) {
	path := opts.FS.PathJoin(dir, markerFile)
	content, err := readFile(opts.FS, path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoStore, err)
	}
	if err := checkMarker(path, content); err != nil {
		return nil, err
	}
	return lockFolder(opts.FS, dir)
}

// Verified is what Verify has read.
type Verified struct {
	journal.Checked
	// IndexedTo is the position of the last event that the index holds; those
	// behind it are indexed when the store is opened.
	IndexedTo uint64
}

// Verify reads all of the store in folder dir, which nobody has open, and
// reports each damage. It changes nothing. Its error says that it could not
// read.
func Verify(dir string, opts Options, report func(error)) (verified Verified, err error) {
	opts = opts.withDefaults()
	lock, err := hold(dir, opts)
	if err != nil {
		return Verified{}, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	damages := 0
	verified.Checked, err = journal.Verify(opts.FS, opts.FS.PathJoin(dir, journalFolder), func(d *journal.Damage) {
		damages++
		report(d)
	})
	if err != nil || damages > 0 {
		return verified, err // the index is compared with a whole journal
	}
	verified.IndexedTo, err = verifyIndex(dir, opts, report)
	return verified, err
}

// Reindex removes the index of the store in folder dir, which nobody has open:
// it is made again, from the journal, when the store is opened.
func Reindex(dir string, opts Options) (err error) {
	opts = opts.withDefaults()
	lock, err := hold(dir, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return dropIndex(opts.FS, opts.FS.PathJoin(dir, indexFolder))
}

// dropIndex leaves folder empty.
func dropIndex(fs vfs.FS, folder string) error {
	if err := fs.RemoveAll(folder); err != nil {
		return fmt.Errorf("remove the index: %w", err)
	}
	return makeFolder(fs, folder)
}
