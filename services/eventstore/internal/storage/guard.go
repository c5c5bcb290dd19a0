package storage

import (
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guard is the index's file system. It keeps pebble from going on when the disk
// failed: pebble would end the process, by a panic, when a folder can't be
// synced, and try again for ever, without a pause, when a table can't be
// written. Neither is needed: all that the index holds is in the journal.
//
// After the store has failed nothing of the index is changed any more. What
// goes on all the same is a compaction that can't read its tables: pebble tries
// it again until the process ends, which must be soon.
type guard struct {
	vfs.FS
	faults *faults
	// parks is set when only pebble's own goroutines make files: they wait for
	// the end of the process then.
	parks atomic.Bool
}

// Create implements vfs.FS.
func (g *guard) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := g.faults.err(); err != nil {
		if g.parks.Load() {
			select {}
		}
		return nil, err
	}
	return g.guarded(g.FS.Create(name, category))
}

// OpenDir implements vfs.FS.
func (g *guard) OpenDir(name string) (vfs.File, error) {
	folder, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return guardedFolder{folder, g.faults}, nil
}

// OpenReadWrite implements vfs.FS.
func (g *guard) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.guarded(g.FS.OpenReadWrite(name, category, opts...))
}

// ReuseForWrite implements vfs.FS.
func (g *guard) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := g.faults.err(); err != nil {
		return nil, err
	}
	return g.guarded(g.FS.ReuseForWrite(oldname, newname, category))
}

// Remove implements vfs.FS.
func (g *guard) Remove(name string) error {
	return g.change(func() error { return g.FS.Remove(name) })
}

// Rename implements vfs.FS.
func (g *guard) Rename(oldname, newname string) error {
	return g.change(func() error { return g.FS.Rename(oldname, newname) })
}

// Link implements vfs.FS.
func (g *guard) Link(oldname, newname string) error {
	return g.change(func() error { return g.FS.Link(oldname, newname) })
}

func (g *guard) change(run func() error) error {
	if err := g.faults.err(); err != nil {
		return err
	}
	return run()
}

// Unwrap implements vfs.FS.
func (g *guard) Unwrap() vfs.FS { return g.FS }

func (g *guard) guarded(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &guardedFile{file, g}, nil
}

type guardedFile struct {
	vfs.File
	guard *guard
}

// Write implements vfs.File.
func (f *guardedFile) Write(b []byte) (int, error) {
	if err := f.guard.faults.err(); err != nil {
		return 0, err
	}
	return f.File.Write(b)
}

// WriteAt implements vfs.File.
func (f *guardedFile) WriteAt(b []byte, offset int64) (int, error) {
	if err := f.guard.faults.err(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, offset)
}

type guardedFolder struct {
	vfs.File
	faults *faults
}

// Sync implements vfs.File. It tells of failure another way.
func (f guardedFolder) Sync() error {
	if err := f.File.Sync(); err != nil {
		f.faults.fail(fmt.Errorf("sync the index's folder: %w", err))
	}
	return nil
}
