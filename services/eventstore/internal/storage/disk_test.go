package storage

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// disk is a file system that a test looks into: each operation passes through
// do, which may refuse it, leave it out, or do something else before.
type disk struct {
	vfs.FS
	do func(op errorfs.Op, run func() error) error
}

func (d *disk) op(kind errorfs.OpKind, path string, run func() error) error {
	return d.do(errorfs.Op{Kind: kind, Path: path}, run)
}

func (d *disk) file(kind errorfs.OpKind, path string, open func() (vfs.File, error)) (file vfs.File, err error) {
	err = d.op(kind, path, func() (err error) {
		file, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	if file == nil {
		return nil, errors.New("a file that was not opened")
	}
	return &diskFile{file, d, path}, nil
}

func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(errorfs.OpCreate, name, func() (vfs.File, error) { return d.FS.Create(name, c) })
}

func (d *disk) Open(name string, _ ...vfs.OpenOption) (vfs.File, error) {
	return d.file(errorfs.OpOpen, name, func() (vfs.File, error) { return d.FS.Open(name) })
}

func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	return d.file(errorfs.OpOpen, name, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, c) })
}

func (d *disk) OpenDir(name string) (vfs.File, error) {
	return d.file(errorfs.OpOpenDir, name, func() (vfs.File, error) { return d.FS.OpenDir(name) })
}

func (d *disk) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(errorfs.OpReuseForWrite, newname, func() (vfs.File, error) { return d.FS.ReuseForWrite(oldname, newname, c) })
}

func (d *disk) Remove(name string) error {
	return d.op(errorfs.OpRemove, name, func() error { return d.FS.Remove(name) })
}

func (d *disk) RemoveAll(name string) error {
	return d.op(errorfs.OpRemoveAll, name, func() error { return d.FS.RemoveAll(name) })
}

func (d *disk) Rename(oldname, newname string) error {
	return d.op(errorfs.OpRename, newname, func() error { return d.FS.Rename(oldname, newname) })
}

func (d *disk) Link(oldname, newname string) error {
	return d.op(errorfs.OpLink, newname, func() error { return d.FS.Link(oldname, newname) })
}

func (d *disk) MkdirAll(dir string, mode os.FileMode) error {
	return d.op(errorfs.OpMkdirAll, dir, func() error { return d.FS.MkdirAll(dir, mode) })
}

func (d *disk) List(dir string) (names []string, err error) {
	err = d.op(errorfs.OpList, dir, func() (err error) {
		names, err = d.FS.List(dir)
		return err
	})
	return names, err
}

// Lock leaves no lock behind when a store is left as it is.
func (d *disk) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// Unwrap implements vfs.FS.
func (d *disk) Unwrap() vfs.FS { return d.FS }

type diskFile struct {
	vfs.File
	disk *disk
	path string
}

func (f *diskFile) Write(b []byte) (n int, err error) {
	n = len(b)
	return n, f.disk.op(errorfs.OpFileWrite, f.path, func() error {
		_, err := f.File.Write(b)
		return err
	})
}

func (f *diskFile) WriteAt(b []byte, offset int64) (n int, err error) {
	n = len(b)
	return n, f.disk.do(errorfs.Op{Kind: errorfs.OpFileWriteAt, Path: f.path, Offset: offset}, func() error {
		_, err := f.File.WriteAt(b, offset)
		return err
	})
}

func (f *diskFile) Read(b []byte) (n int, err error) {
	err = f.disk.op(errorfs.OpFileRead, f.path, func() (err error) {
		n, err = f.File.Read(b)
		return err
	})
	return n, err
}

func (f *diskFile) ReadAt(b []byte, offset int64) (n int, err error) {
	err = f.disk.do(errorfs.Op{Kind: errorfs.OpFileReadAt, Path: f.path, Offset: offset}, func() (err error) {
		n, err = f.File.ReadAt(b, offset)
		return err
	})
	return n, err
}

func (f *diskFile) Sync() error {
	return f.disk.op(errorfs.OpFileSync, f.path, f.File.Sync)
}

func (f *diskFile) SyncData() error {
	return f.disk.op(errorfs.OpFileSyncData, f.path, f.File.SyncData)
}

func (f *diskFile) SyncTo(length int64) (full bool, err error) {
	err = f.disk.op(errorfs.OpFileSyncTo, f.path, func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

// changes tells whether an operation leaves something else on the disk.
func changes(op errorfs.Op) bool {
	return op.Kind.ReadOrWrite() == errorfs.OpIsWrite
}

// gate lets operations through, and stands still while a disk is looked at.
type gate struct{ mu sync.RWMutex }

func (g *gate) pass(run func() error) error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return run()
}

// asKilled returns the disk as it is after the process that wrote to it was
// killed: all that was written can be read, and not all of that is durable.
func asKilled(from *vfs.MemFS, root string, everything vfs.CrashCloneCfg) (*vfs.MemFS, error) {
	durable, visible := from.CrashClone(vfs.CrashCloneCfg{}), from.CrashClone(everything)
	if _, err := visible.Stat(root); errors.Is(err, os.ErrNotExist) {
		return durable, nil // it was killed too early
	}
	return durable, copyUnsynced(durable, visible, root)
}

// copyUnsynced makes the folder dir of to what it is in from, and syncs only
// the content of new files: their names are not durable yet.
func copyUnsynced(to, from vfs.FS, dir string) error {
	if err := to.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	names, err := from.List(dir)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, name := range names {
		there[name] = true
		path := from.PathJoin(dir, name)
		info, err := from.Stat(path)
		if err == nil && info.IsDir() {
			err = copyUnsynced(to, from, path)
		} else if err == nil {
			err = copyFile(to, from, path)
		}
		if err != nil {
			return err
		}
	}
	before, err := to.List(dir)
	for _, name := range before {
		if err == nil && !there[name] {
			err = to.RemoveAll(to.PathJoin(dir, name))
		}
	}
	return err
}

func copyFile(to, from vfs.FS, path string) error {
	content, err := readFile(from, path)
	if err != nil {
		return err
	}
	before, err := readFile(to, path)
	if errors.Is(err, os.ErrNotExist) {
		return writeSynced(to, path, content)
	}
	if err != nil || bytes.Equal(before, content) {
		return err
	}
	if len(content) < len(before) {
		if err := to.Remove(path); err != nil {
			return err
		}
		return writeSynced(to, path, content)
	}
	file, err := to.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	const block = 4096
	for o := 0; o < len(content) && err == nil; o += block {
		end := min(o+block, len(content))
		if end > len(before) || !bytes.Equal(content[o:end], before[o:end]) {
			_, err = file.WriteAt(bytes.Clone(content[o:end]), int64(o))
		}
	}
	return errors.Join(err, file.Close())
}
