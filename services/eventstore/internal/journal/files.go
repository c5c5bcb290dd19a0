package journal

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// chunk is a chunk whose file is open.
type chunk struct {
	header
	file vfs.File

	// The journal's mutex guards what follows.
	refs    int    // who uses it; the journal itself, when it writes to it
	used    uint64 // the journal's clock when it was used last
	anchors []anchor
	whole   bool // anchors cover the whole chunk
}

func (c *chunk) name() string { return nameOf(c.base) }

// anchor is a place where a frame begins. A chunk's anchors let a reader begin
// anywhere: it goes on, frame by frame, from the anchor before.
type anchor struct {
	position uint64
	offset   int64
}

// anchorDistance is how far apart, in bytes, anchors are at least.
const anchorDistance = 4 << 10

func addAnchor(anchors []anchor, a anchor) []anchor {
	if n := len(anchors); n > 0 && a.offset-anchors[n-1].offset < anchorDistance {
		return anchors
	}
	return append(anchors, a)
}

// before returns the last anchor at or before position; ok is false when there
// is none.
func before(anchors []anchor, position uint64) (i int, ok bool) {
	i = sort.Search(len(anchors), func(i int) bool { return anchors[i].position > position }) - 1
	return i, i >= 0
}

// chunkAt returns the index, among the bases, of the chunk that holds
// position, or the one before it when none does; -1 when there is none.
func (j *Journal) chunkAt(position uint64) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	i, found := slices.BinarySearch(j.bases, position)
	if !found {
		i--
	}
	return i
}

// base returns the position of the i-th chunk; ok is false when there is none.
func (j *Journal) base(i int) (base uint64, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if i < 0 || i >= len(j.bases) {
		return 0, false
	}
	return j.bases[i], true
}

// acquire opens the chunk with that base for the caller, who must release it.
func (j *Journal) acquire(base uint64) (*chunk, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	c, ok := j.open[base]
	if !ok {
		opened, err := j.openChunk(base)
		if err != nil {
			return nil, err
		}
		c, j.open[base] = opened, opened
	}
	j.clock++
	c.used = j.clock
	c.refs++
	if ok {
		return c, nil
	}
	if err := j.closeUnused(); err != nil { // not the one that was opened just now: it is in use
		c.refs--
		return nil, err
	}
	return c, nil
}

func (j *Journal) release(c *chunk) {
	j.mu.Lock()
	defer j.mu.Unlock()
	c.refs--
}

// openChunk opens a chunk's file and reads its header.
func (j *Journal) openChunk(base uint64) (*chunk, error) {
	name := nameOf(base)
	file, err := j.fs.Open(j.fs.PathJoin(j.dir, name))
	if err != nil {
		return nil, err
	}
	h, err := readHeader(file, name)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &chunk{header: h, file: file}, nil
}

func readHeader(file vfs.File, name string) (header, error) {
	info, err := file.Stat()
	if err != nil {
		return header{}, err
	}
	b := make([]byte, chunkHeader)
	n, err := file.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return header{}, fmt.Errorf("read the header of %s: %w", name, err)
	}
	return decodeHeader(b[:n], name, info.Size())
}

// closeUnused closes files until few enough are open. The journal's mutex is
// held.
func (j *Journal) closeUnused() error {
	for len(j.open) > j.opts.maxOpen {
		var oldest *chunk
		for _, c := range j.open {
			if c.refs == 0 && (oldest == nil || c.used < oldest.used) {
				oldest = c
			}
		}
		if oldest == nil {
			return nil // all are in use
		}
		delete(j.open, oldest.base)
		if err := oldest.file.Close(); err != nil {
			return err
		}
	}
	return nil
}

// anchorsOf returns the anchors of a chunk that the caller has acquired. Those
// of a chunk that was not written by this process are found by reading it
// once.
func (j *Journal) anchorsOf(c *chunk) ([]anchor, error) {
	j.mu.Lock()
	anchors, known := c.anchors, c.whole || c == j.active
	j.mu.Unlock()
	if known {
		return anchors, nil
	}
	anchors = nil
	s := newScanner(c, chunkHeader, int64(c.capacity))
	defer s.free()
	for {
		f, offset, err := s.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		anchors = addAnchor(anchors, anchor{f.position, offset})
	}
	j.mu.Lock()
	c.anchors, c.whole = anchors, true
	j.mu.Unlock()
	return anchors, nil
}

// Size is how many bytes the files of the journal's chunks take.
func (j *Journal) Size() (size uint64, err error) {
	for i := 0; ; i++ {
		base, ok := j.base(i)
		if !ok {
			return size, nil
		}
		info, err := j.fs.Stat(j.fs.PathJoin(j.dir, nameOf(base)))
		if err != nil {
			return 0, err
		}
		size += uint64(info.Size())
	}
}
