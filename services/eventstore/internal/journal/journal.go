package journal

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options are the options of Open.
type Options struct {
	FS     vfs.FS
	Logger *slog.Logger
	// FirstChunk and MaxChunk are the sizes of the first chunk and of the
	// largest, in bytes; chunks double from one to the other. A group that is
	// larger gets a chunk of its own size.
	FirstChunk, MaxChunk uint64
	// maxOpen is how many chunks' files are open at once, unless more are read.
	maxOpen int
}

// The sizes of chunks. Opening reads the last chunk, which is what bounds it.
const (
	firstChunk = 1 << 20
	maxChunk   = 32 << 20
	maxOpen    = 256
)

// Journal is an open journal. One goroutine writes; any number read, what they
// know to be written.
type Journal struct {
	fs   vfs.FS
	dir  string
	log  *slog.Logger
	opts Options

	active *chunk // the chunk that is written to; nil before the first one
	place  Place  // where the next frame goes
	last   uint64 // position of the last record, 0 when there is none
	marked bool   // nothing follows the last mark
	spare  *spare // the next chunk's file, nil when none is made

	mu    sync.Mutex
	bases []uint64 // of all chunks, ascending
	open  map[uint64]*chunk
	clock uint64 // counts uses of chunks, to close the one that was not used longest
}

// Open opens the journal in folder dir, which exists, and makes it as it was
// when the last write that is known to be durable ended. It fails with
// ErrDamaged when something durable is not what was written.
func Open(dir string, opts Options) (*Journal, error) {
	opts.FirstChunk, opts.MaxChunk = cmp.Or(opts.FirstChunk, firstChunk), cmp.Or(opts.MaxChunk, maxChunk)
	opts.maxOpen = cmp.Or(opts.maxOpen, maxOpen)
	j := &Journal{fs: opts.FS, dir: dir, log: opts.Logger, opts: opts, open: make(map[uint64]*chunk)}
	unfinished, err := j.list()
	if err == nil {
		err = j.remove(unfinished)
	}
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	if len(j.bases) == 0 {
		return j, nil
	}
	// Who gave the last chunk its name may have been killed before the sync.
	if err := syncFolder(j.fs, dir); err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	if err := j.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the journal: %w", err), j.closeFiles())
	}
	return j, nil
}

// OpenReadOnly opens the journal in folder dir as it is, and changes nothing.
// Whoever reads it knows where it ends.
func OpenReadOnly(dir string, opts Options) (*Journal, error) {
	j := &Journal{fs: opts.FS, dir: dir, log: opts.Logger, opts: opts, open: make(map[uint64]*chunk)}
	if _, err := j.list(); err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	return j, nil
}

// list finds the chunks, and the files of chunks that were not finished.
func (j *Journal) list() (unfinished []string, err error) {
	names, err := j.fs.List(j.dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if base, ok := baseOf(name); ok {
			j.bases = append(j.bases, base)
		} else if name == spareName || name == packName {
			unfinished = append(unfinished, name)
		}
	}
	slices.Sort(j.bases)
	return unfinished, checkFirst(j.bases)
}

// checkFirst fails when the first of the chunks, whose bases ascend, is
// missing.
func checkFirst(bases []uint64) error {
	if len(bases) > 0 && bases[0] != 0 {
		return &Damage{File: nameOf(0), What: "the first chunk is missing"}
	}
	return nil
}

func (j *Journal) remove(names []string) error {
	for _, name := range names {
		if err := j.fs.Remove(j.fs.PathJoin(j.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// Place is where the next frame goes.
func (j *Journal) Place() Place { return j.place }

// Last is the position of the last record, 0 when there is none.
func (j *Journal) Last() uint64 { return j.last }

// End is the position after the last frame.
func (p Place) End() uint64 { return p.next }

// NextChunk is the beginning of the chunk that follows p's, with room for size
// bytes.
func (j *Journal) NextChunk(p Place, size int) Place {
	base := p.base + p.capacity
	needed := uint64(align(chunkHeader + size + FrameSize(0)))
	return Place{base: base, capacity: max(j.grown(p.capacity), needed), salt: rand.Uint32(), next: base + chunkHeader}
}

func (j *Journal) grown(capacity uint64) uint64 {
	return min(max(2*capacity, j.opts.FirstChunk), max(j.opts.MaxChunk, j.opts.FirstChunk))
}

// Write makes a group durable. When it fails the journal must not be written
// to any more: what of the group is on the disk is only known after it was
// opened again.
func (j *Journal) Write(g *Group) error {
	if j.active == nil || g.place.base != j.active.base {
		if err := j.roll(g.place); err != nil {
			return fmt.Errorf("begin a chunk: %w", err)
		}
	}
	offset := int64(g.start - g.place.base)
	if _, err := j.active.file.WriteAt(g.buf, offset); err != nil {
		return fmt.Errorf("write to the journal: %w", err)
	}
	if err := j.active.file.SyncData(); err != nil {
		return fmt.Errorf("sync the journal: %w", err)
	}
	j.wrote(g, offset)
	return nil
}

func (j *Journal) wrote(g *Group, offset int64) {
	j.place, j.marked = g.Place(), false
	j.last = max(j.last, g.events)
	j.mu.Lock()
	j.active.anchors = addAnchor(j.active.anchors, anchor{g.start, offset})
	j.mu.Unlock()
	if j.spare == nil && j.place.next-j.place.base > j.place.capacity/2 {
		j.spare = startSpare(j.fs, j.fs.PathJoin(j.dir, spareName), j.grown(j.place.capacity))
	}
}

// roll begins the chunk at p.
func (j *Journal) roll(p Place) error {
	if err := j.takeSpare(p.capacity); err != nil {
		return err
	}
	h := header{base: p.base, capacity: p.capacity, previous: j.last, salt: p.salt}
	file, err := makeChunk(j.fs, j.dir, h)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	before := j.active
	j.active = &chunk{header: h, file: file, refs: 1}
	j.open[p.base] = j.active
	j.bases = append(j.bases, p.base)
	if before == nil {
		return nil
	}
	before.refs--
	before.whole = true // anchors were kept as it was written
	return j.closeUnused()
}

// takeSpare waits for the spare file, and makes one when there is none of that
// size.
func (j *Journal) takeSpare(size uint64) error {
	s := j.spare
	j.spare = nil
	if s == nil {
		return makeSpare(j.fs, j.fs.PathJoin(j.dir, spareName), size)
	}
	if err := s.wait(); err != nil || s.size == size {
		return err
	}
	return makeSpare(j.fs, j.fs.PathJoin(j.dir, spareName), size)
}

// spare is the next chunk's file while it is being made, beside the writing.
type spare struct {
	size uint64
	done chan struct{}
	err  error
}

func startSpare(fs vfs.FS, path string, size uint64) *spare {
	s := &spare{size: size, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.err = makeSpare(fs, path, size)
	}()
	return s
}

func (s *spare) wait() error {
	<-s.done
	return s.err
}

// Close marks the end of the journal and closes it. Nobody reads any more.
func (j *Journal) Close() error {
	err := j.writeMark()
	return errors.Join(err, j.Abandon())
}

// Abandon closes a journal that must not be written to any more.
func (j *Journal) Abandon() error {
	if j.spare != nil {
		_ = j.spare.wait() // a file that was not needed
	}
	return j.closeFiles()
}

// writeMark makes what is written known to be durable, to whoever opens the
// journal next.
func (j *Journal) writeMark() error {
	if j.active == nil || j.marked {
		return nil
	}
	var g Group
	g.Reset(j.place)
	if !g.Fits(0) {
		return &Damage{
			File: j.active.name(), Offset: int64(j.place.next - j.place.base), Position: j.place.next,
			What: "there is no room for a mark, and each chunk was made with some",
		}
	}
	g.mark()
	if err := j.Write(&g); err != nil {
		return err
	}
	j.marked = true
	return nil
}

func (j *Journal) closeFiles() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var err error
	for base, c := range j.open {
		err = errors.Join(err, c.file.Close())
		delete(j.open, base)
	}
	return err
}
