package journal

import (
	"errors"
	"fmt"
	"io"
	"iter"
)

// Record is a record at its position. Its bytes hold until the next step of
// the iteration that gave it.
type Record struct {
	Position uint64
	Payload  []byte
}

// Forward iterates over the records from position from on, up to end, where
// the caller knows the frames to end.
func (j *Journal) Forward(from, end uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		r := forward{journal: j, from: from, end: end, yield: yield}
		for i := max(j.chunkAt(from), 0); ; i++ {
			base, ok := j.base(i)
			if !ok || base >= end {
				return
			}
			more, err := r.read(base)
			if err != nil {
				yield(Record{}, err)
			}
			if err != nil || !more {
				return
			}
		}
	}
}

// forward is one iteration of Forward.
type forward struct {
	journal   *Journal
	from, end uint64
	yield     func(Record, error) bool
	before    *chunk // the chunk before, nil when its last record is not known
	last      uint64 // position of the last record
}

// read reads one chunk; more is false when the iteration has ended.
func (r *forward) read(base uint64) (more bool, err error) {
	c, err := r.journal.acquire(base)
	if err != nil {
		return false, err
	}
	defer r.journal.release(c)
	if err := c.follows(r.before, r.last); err != nil {
		return false, err
	}
	offset, err := r.journal.floor(c, r.from)
	if err != nil {
		return false, err
	}
	known := r.before != nil
	if offset == chunkHeader {
		r.last, known = c.previous, true
	}
	s := newScanner(c, offset, c.limit(r.end))
	defer s.free()
	for {
		f, _, err := s.next()
		switch {
		case errors.Is(err, io.EOF):
			if r.before = nil; known {
				r.before = c
			}
			return true, nil
		case err != nil:
			return false, err
		case f.kind == mark:
			continue
		}
		r.last, known = f.position, true
		if f.position >= r.from && !r.yield(Record{f.position, f.payload}, nil) {
			return false, nil
		}
	}
}

// follows checks that nothing is missing at the end of the chunk before, whose
// last record was at position last.
func (c *chunk) follows(before *chunk, last uint64) error {
	if before == nil || before.packed || c.previous == last {
		return nil
	}
	return before.missing(last, c.previous)
}

// missing says that records are missing in c, or behind it, after the one at
// position last and up to that at position upTo.
func (c *chunk) missing(last, upTo uint64) error {
	return &Damage{
		File: c.name(), Offset: int64(max(last, c.base) - c.base), Position: last,
		What: fmt.Sprintf("records that followed are missing, up to position %d", upTo),
	}
}

// limit is the offset at which the chunk's frames end when those of the
// journal end at position end.
func (c *chunk) limit(end uint64) int64 {
	if c.packed {
		return int64(c.capacity)
	}
	return int64(min(c.capacity, end-c.base))
}

// floor returns the offset of a frame at or before position, or that of the
// chunk's first frame.
func (j *Journal) floor(c *chunk, position uint64) (int64, error) {
	if position <= c.base+chunkHeader && !c.packed || position <= c.base {
		return chunkHeader, nil
	}
	anchors, err := j.anchorsOf(c)
	if err != nil {
		return 0, err
	}
	if i, ok := before(anchors, position); ok {
		return anchors[i].offset, nil
	}
	return chunkHeader, nil
}

// Backward iterates, from the last one on, over the records before position
// before. The frames of the journal end at end.
func (j *Journal) Backward(before, end uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if before == 0 {
			return
		}
		r := backward{journal: j, before: before, end: end, yield: yield}
		for i := j.chunkAt(before - 1); i >= 0; i-- {
			base, _ := j.base(i)
			more, err := r.read(base)
			if err != nil {
				yield(Record{}, err)
			}
			if err != nil || !more {
				return
			}
		}
	}
}

// backward is one iteration of Backward.
type backward struct {
	journal     *Journal
	before, end uint64
	yield       func(Record, error) bool
	frames      []frame
	previous    uint64 // position of the record that must be next, 0 when any may
}

// read reads one chunk, from anchor to anchor.
func (r *backward) read(base uint64) (more bool, err error) {
	if base >= r.end {
		return true, nil // begun after the caller looked
	}
	c, err := r.journal.acquire(base)
	if err != nil {
		return false, err
	}
	defer r.journal.release(c)
	anchors, err := r.journal.anchorsOf(c)
	if err != nil {
		return false, err
	}
	limit := c.limit(r.end)
	i, ok := before(anchors, r.before-1)
	if ok && i+1 < len(anchors) {
		limit = min(limit, anchors[i+1].offset)
	}
	for ; i >= 0; i-- {
		more, err := r.segment(c, anchors[i].offset, limit)
		if err != nil || !more {
			return false, err
		}
		limit = min(limit, anchors[i].offset) // anchors may lie behind the end
	}
	if r.previous != 0 && r.previous != c.previous && !c.packed {
		return false, c.missing(c.previous, r.previous)
	}
	if r.previous == 0 || c.packed {
		r.previous = c.previous
	}
	return true, nil
}

// segment yields the records between two offsets.
func (r *backward) segment(c *chunk, offset, limit int64) (more bool, err error) {
	s := newScanner(c, offset, limit)
	defer s.free()
	if _, err := s.fill(int(limit - offset)); err != nil { // all at once: its frames hold together
		return false, err
	}
	r.frames = r.frames[:0]
	for {
		f, _, err := s.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, err
		}
		if f.kind != mark && f.position < r.before {
			r.frames = append(r.frames, f)
		}
	}
	for i := len(r.frames) - 1; i >= 0; i-- {
		position := r.frames[i].position
		if r.previous != 0 && r.previous != position && !c.packed {
			return false, c.missing(position, r.previous)
		}
		r.previous = 0
		if !r.yield(Record{position, r.frames[i].payload}, nil) {
			return false, nil
		}
	}
	return true, nil
}
