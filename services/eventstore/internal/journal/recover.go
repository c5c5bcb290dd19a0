package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// recover reads the last chunk, cuts off a write that was cut short, and
// leaves the journal ready to go on.
func (j *Journal) recover() error {
	base := j.bases[len(j.bases)-1]
	name := nameOf(base)
	file, err := j.fs.OpenReadWrite(j.fs.PathJoin(j.dir, name), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	h, err := readHeader(file, name)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	c := &chunk{header: h, file: file, refs: 1}
	j.open[base] = c
	j.last = h.previous
	if h.packed {
		return j.resumePacked(c)
	}
	b := make([]byte, h.capacity)
	if _, err := file.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: %w", name, err)
	}
	t, err := findTail(c, b)
	if err != nil {
		return err
	}
	if err := j.cut(c, b, t); err != nil {
		return err
	}
	j.active, c.anchors = c, t.anchors
	j.last, j.marked = max(j.last, t.last), t.marked
	j.place = Place{base: h.base, capacity: h.capacity, salt: h.salt, next: h.base + uint64(t.end)}
	if j.marked {
		return nil
	}
	// The last group may be there and not be durable: the process ended before
	// its sync. A mark that the disk took before the group would make it damage.
	if err := file.SyncData(); err != nil {
		return fmt.Errorf("sync %s: %w", name, err)
	}
	return j.writeMark()
}

// resumePacked leaves a journal ready whose last chunk is not written to any
// more.
func (j *Journal) resumePacked(c *chunk) error {
	anchors, err := j.anchorsOf(c)
	if err != nil {
		return err
	}
	beyond := c.base + uint64(frameAlign)
	if n := len(anchors); n > 0 {
		for r, err := range j.Forward(anchors[n-1].position, ^uint64(0)) {
			if err != nil {
				return err
			}
			j.last = r.Position
		}
		beyond = max(beyond, uint64(align(int(j.last)+1)))
	}
	c.refs--
	j.place = Place{base: beyond, next: beyond}
	return nil
}

// tail is what is found at the end of the chunk that was written to.
type tail struct {
	end     int64 // offset after the last frame that counts
	last    uint64
	marked  bool
	torn    bool // what follows is no zeros
	anchors []anchor
}

// findTail reads the frames of chunk c, whose content is b.
func findTail(c *chunk, b []byte) (tail, error) {
	t := tail{end: chunkHeader}
	offset := chunkHeader
	var inners []anchor
	for {
		f, size, err := decodeFrame(b[offset:], c.salt)
		if err != nil || f.position != c.base+uint64(offset) {
			break
		}
		inners = append(inners, anchor{f.position, int64(offset)})
		offset += size
		if f.kind == inner {
			continue
		}
		for _, a := range inners {
			t.anchors = addAnchor(t.anchors, a)
		}
		inners = inners[:0]
		t.end, t.marked = int64(offset), f.kind == mark
		if f.kind == final {
			t.last = f.position
		}
	}
	t.torn = !isZero(b[t.end:])
	if later, found := laterGroup(c, b, t.end); found {
		return tail{}, &Damage{
			File: c.name(), Offset: int64(offset), Position: c.base + uint64(t.end),
			What: fmt.Sprintf("no frame is where one was written; the next write is at offset %d", later),
		}
	}
	return t, nil
}

// laterGroup looks, behind end, for a frame of a group that was begun behind
// end.
func laterGroup(c *chunk, b []byte, end int64) (offset int64, found bool) {
	for o := end; o+frameHeader <= int64(len(b)); o += frameAlign {
		position := c.base + uint64(o)
		if binary.LittleEndian.Uint64(b[o+8:]) != position {
			continue
		}
		f, _, err := decodeFrame(b[o:], c.salt)
		if err == nil && f.groupStart() > c.base+uint64(end) {
			return o, true
		}
	}
	return 0, false
}

// tornPrefix begins the names of files that keep what was cut off.
const tornPrefix = "torn-"

// cut replaces what follows the frames by zeros. It is what a write left that
// was cut short: nobody was told that it is durable. What it is is kept beside
// the chunk all the same.
func (j *Journal) cut(c *chunk, b []byte, t tail) error {
	if !t.torn {
		return nil
	}
	end := int64(len(b))
	for end > t.end && b[end-1] == 0 {
		end--
	}
	torn := b[t.end:end]
	name, err := j.keep(c.base+uint64(t.end), torn)
	if err != nil {
		return fmt.Errorf("keep what a write left that was cut short: %w", err)
	}
	j.log.Warn("a write was cut short: it is cut off, and what is left of it is kept in a file",
		"chunk", c.name(), "offset", t.end, "bytes", len(torn), "file", name)
	if _, err := c.file.WriteAt(make([]byte, len(torn)), t.end); err != nil {
		return fmt.Errorf("cut off a write that was cut short: %w", err)
	}
	if err := c.file.SyncData(); err != nil {
		return fmt.Errorf("cut off a write that was cut short: %w", err)
	}
	return nil
}

// keep keeps what was torn in a file of its own, and returns its name.
func (j *Journal) keep(position uint64, torn []byte) (name string, err error) {
	name = fmt.Sprintf("%s%d", tornPrefix, position)
	for n := 2; ; n++ { // one that was kept before, at that position, stays
		_, err := j.fs.Stat(j.fs.PathJoin(j.dir, name))
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return "", err
		}
		name = fmt.Sprintf("%s%d-%d", tornPrefix, position, n)
	}
	if err := writeSynced(j.fs, j.fs.PathJoin(j.dir, name), bytes.Clone(torn)); err != nil {
		return "", err
	}
	return name, syncFolder(j.fs, j.dir)
}

func writeSynced(fs vfs.FS, path string, content []byte) error {
	file, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}
