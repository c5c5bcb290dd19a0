package journal

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// scanner reads the frames of one chunk, one after the other, in blocks.
type scanner struct {
	chunk  *chunk
	offset int64 // of the next frame
	limit  int64 // where frames are known to end
	buf    *block
	begin  int64 // offset of the buffer's first byte
}

// block is a buffer that scanners take and give back.
type block struct{ b []byte }

const blockSize = 128 << 10

var blocks = sync.Pool{New: func() any { return &block{b: make([]byte, 0, blockSize)} }}

func newScanner(c *chunk, offset, limit int64) *scanner {
	s := &scanner{chunk: c, offset: offset, limit: limit, begin: offset, buf: blocks.Get().(*block)}
	s.buf.b = s.buf.b[:0]
	return s
}

// free gives the scanner's memory back: frames that it gave are void then.
func (s *scanner) free() {
	if cap(s.buf.b) <= 4*blockSize { // one large record must not stay for ever
		blocks.Put(s.buf)
	}
	s.buf = nil
}

// next returns the next frame and its offset in the file; the frame holds
// until the call after. It fails with io.EOF where the frames of the chunk end.
func (s *scanner) next() (f frame, offset int64, err error) {
	for wanted := frameHeader; ; {
		f, size, err := decodeFrame(s.rest(), s.chunk.salt)
		switch {
		case err == nil && (s.chunk.packed || f.position == s.chunk.base+uint64(s.offset)):
			offset = s.offset
			s.offset += int64(size)
			return f, offset, nil
		case err == nil:
			return frame{}, 0, s.damage(fmt.Sprintf("the frame belongs at position %d", f.position))
		case errors.Is(err, errBlank) && s.blanksEnd():
			return frame{}, 0, io.EOF
		case !errors.Is(err, errShort):
			return frame{}, 0, s.damage(err.Error())
		}
		more, err := s.fill(max(wanted, size))
		if err != nil {
			return frame{}, 0, err
		}
		if !more {
			return s.end()
		}
	}
}

// blanksEnd tells whether zeros may end the frames: in a chunk that was written
// to, and is full.
func (s *scanner) blanksEnd() bool {
	return !s.chunk.packed && s.limit == int64(s.chunk.capacity)
}

// end tells whether the frames end where they may.
func (s *scanner) end() (frame, int64, error) {
	if len(s.rest()) > 0 && !isZero(s.rest()) {
		return frame{}, 0, s.damage(errShort.Error())
	}
	return frame{}, 0, io.EOF
}

// rest is what was read and not yet used.
func (s *scanner) rest() []byte {
	used := s.offset - s.begin
	if used >= int64(len(s.buf.b)) {
		return nil
	}
	return s.buf.b[used:]
}

// fill reads the next block, with wanted bytes of the frame at least unless
// the chunk ends before; more is false when there is nothing more to read.
func (s *scanner) fill(wanted int) (more bool, err error) {
	had := len(s.rest())
	size := max(min(blockSize, s.limit-s.offset), min(int64(wanted), s.limit-s.offset))
	if size <= int64(had) {
		return false, nil
	}
	if int64(cap(s.buf.b)) < size {
		s.buf.b = make([]byte, 0, size)
	}
	s.buf.b, s.begin = s.buf.b[:size], s.offset
	n, err := s.chunk.file.ReadAt(s.buf.b, s.offset)
	s.buf.b = s.buf.b[:n]
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read %s: %w", s.chunk.name(), err)
	}
	return n > had, nil
}

func (s *scanner) damage(what string) error {
	d := &Damage{File: s.chunk.name(), Offset: s.offset, What: what}
	if !s.chunk.packed {
		d.Position = s.chunk.base + uint64(s.offset)
	}
	return d
}
