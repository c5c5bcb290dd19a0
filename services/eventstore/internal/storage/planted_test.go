package storage

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// planted is a defect of the store, or of the disk under it, which the
// simulation must find, or it shows nothing.
type planted struct {
	name  string
	plant func(fs *disk, options *Options)
}

// skip leaves out the operations that are picked.
func skip(picked func(errorfs.Op) bool) func(*disk, *Options) {
	return func(fs *disk, _ *Options) {
		do := fs.do
		fs.do = func(op errorfs.Op, run func() error) error {
			if picked(op) {
				run = func() error { return nil }
			}
			return do(op, run)
		}
	}
}

func isChunk(path string) bool {
	return strings.Contains(path, "/"+journalFolder+"/") && strings.HasSuffix(path, ".log")
}

func isSpare(path string) bool { return strings.HasSuffix(path, "/spare.tmp") }

// isDataSync tells a group's sync. A chunk that was made by the same process
// goes by its first name still.
func isDataSync(op errorfs.Op) bool {
	return op.Kind == errorfs.OpFileSyncData && (isChunk(op.Path) || isSpare(op.Path))
}

func isSync(op errorfs.Op) bool {
	return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
}

var defects = []planted{
	{"data is not synced", skip(isDataSync)},
	{"data is synced after the answer", syncLate},
	{"every second sync is left out", func(fs *disk, options *Options) {
		n := 0
		skip(func(op errorfs.Op) bool {
			if !isDataSync(op) {
				return false
			}
			n++
			return n%2 == 0
		})(fs, options)
	}},
	{"the folder is not synced when a chunk gets its name", skip(func(op errorfs.Op) bool {
		return isSync(op) && strings.HasSuffix(op.Path, "/"+journalFolder)
	})},
	{"a chunk gets its name before it is synced", skip(func(op errorfs.Op) bool { return isSync(op) && isSpare(op.Path) })},
	{"a chunk's header comes after its name", headerLate},
	{"a chunk is not filled with zeros", garbage},
	{"a group that is durable is taken for one that was cut short", cutTooMuch},
	{"half of a command counts", halfCommands},
	{"the index is written before the journal", indexEarly},
	{"the index believes that it has one event more", indexTooFar},
	{"the index's files are not synced", skip(func(op errorfs.Op) bool {
		return isSync(op) && strings.HasSuffix(op.Path, ".sst")
	})},
	{"a group is dropped", dropGroups},
}

// syncLate syncs what was written when the next write comes.
func syncLate(fs *disk, _ *Options) {
	do, owed := fs.do, map[string]func() error{}
	fs.do = func(op errorfs.Op, run func() error) error {
		switch {
		case isDataSync(op):
			owed[op.Path] = run
			run = func() error { return nil }
		case op.Kind == errorfs.OpFileWriteAt && owed[op.Path] != nil:
			if err := do(op, owed[op.Path]); err != nil {
				return err
			}
		}
		return do(op, run)
	}
}

// headerLate writes and syncs a chunk's header after it got its name.
func headerLate(fs *disk, _ *Options) {
	do := fs.do
	var owed []func() error
	fs.do = func(op errorfs.Op, run func() error) error {
		switch {
		case isSpare(op.Path) && op.Kind == errorfs.OpFileWriteAt && op.Offset == 0:
			owed = []func() error{run}
			run = func() error { return nil }
		case isSpare(op.Path) && op.Kind == errorfs.OpFileSync && len(owed) == 1:
			owed = append(owed, run)
			run = func() error { return nil }
		case strings.HasSuffix(op.Path, "/"+journalFolder) && isSync(op):
			err := do(op, run)
			for _, run := range owed {
				if err == nil {
					err = do(errorfs.Op{Kind: errorfs.OpFileSync, Path: "spare"}, run)
				}
			}
			owed = nil
			return err
		}
		return do(op, run)
	}
}

// wrapped is a disk whose files are wrapped when they are opened.
type wrapped struct {
	vfs.FS
	create, change func(name string, file vfs.File) vfs.File
}

func (w wrapped) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := w.FS.Create(name, c)
	if err != nil || w.create == nil {
		return file, err
	}
	return w.create(name, file), nil
}

func (w wrapped) OpenReadWrite(name string, c vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	file, err := w.FS.OpenReadWrite(name, c)
	if err != nil || w.change == nil {
		return file, err
	}
	return w.change(name, file), nil
}

// garbage leaves in a chunk what its blocks held before.
func garbage(_ *disk, options *Options) {
	options.FS = wrapped{FS: options.FS, create: func(name string, file vfs.File) vfs.File {
		if isSpare(name) {
			return dirty{file}
		}
		return file
	}}
}

type dirty struct{ vfs.File }

func (d dirty) Write(b []byte) (int, error) {
	return d.File.Write(bytes.Repeat([]byte{'g'}, len(b)))
}

// cutTooMuch takes the last bytes away from a chunk before it is recovered.
func cutTooMuch(_ *disk, options *Options) {
	options.FS = wrapped{FS: options.FS, change: func(name string, file vfs.File) vfs.File {
		info, err := file.Stat()
		if err != nil || !isChunk(name) {
			return file
		}
		b := make([]byte, info.Size())
		if _, err := file.ReadAt(b, 0); err != nil {
			return file
		}
		end := len(b)
		for end > 200 && b[end-1] == 0 {
			end--
		}
		const few = 60 // more than a mark
		_, _ = file.WriteAt(make([]byte, few), int64(end-few))
		return file
	}}
}

// halfCommands ends a command with each of its records.
func halfCommands(_ *disk, options *Options) {
	options.FS = wrapped{FS: options.FS, change: func(_ string, file vfs.File) vfs.File { return separated{file} }}
}

type separated struct{ vfs.File }

func (s separated) WriteAt(b []byte, offset int64) (int, error) {
	header := make([]byte, 64)
	if _, err := s.ReadAt(header, 0); err != nil || offset == 0 {
		return s.File.WriteAt(b, offset)
	}
	b = append([]byte(nil), b...)
	salt := binary.LittleEndian.Uint32(header[40:])
	for f := b; len(f) >= 24; {
		end := 24 + int(binary.LittleEndian.Uint32(f[4:]))
		if end > len(f) || end == 24 && f[20] == 0 {
			break // zeros
		}
		if f[20] == 1 {
			f[20] = 2
		}
		binary.LittleEndian.PutUint32(f, crc32.Update(salt, crc32.MakeTable(crc32.Castagnoli), f[4:end]))
		f = f[(end+7)&^7:]
	}
	return s.File.WriteAt(b, offset)
}

// indexEarly writes the index, durably, before the journal.
func indexEarly(_ *disk, options *Options) {
	options.write = func(s *Store, g *group) error {
		if err := s.index.add(g.entries, g.heads, g.last); err != nil {
			return err
		}
		if g.number%3 == 0 {
			if err := s.index.db.Flush(); err != nil {
				return err
			}
		}
		return s.log.Write(&g.log)
	}
}

// indexTooFar lets the index count the event that comes next.
func indexTooFar(_ *disk, options *Options) {
	options.write = func(s *Store, g *group) error {
		if err := s.log.Write(&g.log); err != nil {
			return err
		}
		if g.number%3 == 0 {
			g.last = g.log.Place().End()
		}
		return nil
	}
}

// dropGroups acknowledges a group that was not written.
func dropGroups(_ *disk, options *Options) {
	options.write = func(s *Store, g *group) error {
		if g.number%6 == 5 {
			return nil
		}
		return s.log.Write(&g.log)
	}
}

func TestPowerCutsFindPlantedDefects(t *testing.T) {
	const tries = 3000 // half of a command takes some 150, the others a few
	for _, d := range defects {
		t.Run(d.name, func(t *testing.T) {
			for seed := range uint64(tries) {
				if _, err := crashed(seed, &d); err != nil {
					t.Logf("found with seed %d: %v", seed, err)
					return
				}
			}
			t.Errorf("%d seeds did not find it", tries)
		})
	}
}
