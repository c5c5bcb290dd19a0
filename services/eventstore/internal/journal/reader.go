package journal

import (
	"errors"
	"fmt"
	"io"
)

// Reader reads single records. It must be closed. Records that are close to
// each other, in ascending order, are read together: so a Reader knows only
// what was written before it was made.
type Reader struct {
	journal *Journal
	chunk   *chunk
	buf     []byte
	begin   int64 // offset of the buffer's first byte
	scanner *scanner
}

const (
	readSize  = 4 << 10  // for a record from anywhere
	aheadSize = 64 << 10 // for records that follow each other
)

// NewReader returns a Reader.
func (j *Journal) NewReader() *Reader { return &Reader{journal: j} }

// Close gives back what the Reader holds.
func (r *Reader) Close() {
	r.leave()
	r.buf = nil
}

func (r *Reader) leave() {
	if r.scanner != nil {
		r.scanner.free()
		r.scanner = nil
	}
	if r.chunk != nil {
		r.journal.release(r.chunk)
		r.chunk = nil
	}
	r.buf = r.buf[:0]
}

// Read returns the record at a position, which the caller has from an index.
// It holds until the next call.
func (r *Reader) Read(position uint64) ([]byte, error) {
	if err := r.enter(position); err != nil {
		return nil, err
	}
	if r.chunk.packed {
		return r.search(position)
	}
	offset := int64(position - r.chunk.base)
	for wanted := 0; ; {
		f, size, err := decodeFrame(r.at(offset), r.chunk.salt)
		switch {
		case err == nil && f.position == position && f.kind != mark:
			return f.payload, nil
		case !errors.Is(err, errShort):
			return nil, r.missing(offset, position)
		}
		more := max(size, frameHeader)
		if more <= wanted || int64(more) > int64(r.chunk.capacity)-offset {
			return nil, r.missing(offset, position) // the file ends before
		}
		wanted = more
		if err := r.fill(offset, wanted); err != nil {
			return nil, err
		}
	}
}

// enter goes to the chunk that holds position.
func (r *Reader) enter(position uint64) error {
	base, ok := r.journal.base(r.journal.chunkAt(position))
	if !ok {
		return &Damage{Position: position, What: "there is no chunk that could hold the record"}
	}
	if r.chunk != nil && r.chunk.base == base {
		return nil
	}
	r.leave()
	c, err := r.journal.acquire(base)
	if err != nil {
		return err
	}
	r.chunk = c
	return nil
}

// at returns what was read from offset on.
func (r *Reader) at(offset int64) []byte {
	if offset < r.begin || offset >= r.begin+int64(len(r.buf)) {
		return nil
	}
	return r.buf[offset-r.begin:]
}

// fill reads wanted bytes at least from offset on, unless the file ends.
func (r *Reader) fill(offset int64, wanted int) error {
	size := readSize
	if end := r.begin + int64(len(r.buf)); len(r.buf) > 0 && offset > r.begin && offset < end+aheadSize {
		size = aheadSize
	}
	size = max(size, wanted)
	if cap(r.buf) < size {
		r.buf = make([]byte, size)
	}
	n, err := r.chunk.file.ReadAt(r.buf[:size], offset)
	r.buf, r.begin = r.buf[:n], offset
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: %w", r.chunk.name(), err)
	}
	return nil
}

// search finds a record in a packed chunk.
func (r *Reader) search(position uint64) ([]byte, error) {
	offset, err := r.journal.floor(r.chunk, position)
	if err != nil {
		return nil, err
	}
	if r.scanner != nil {
		r.scanner.free()
	}
	r.scanner = newScanner(r.chunk, offset, int64(r.chunk.capacity))
	for {
		f, offset, err := r.scanner.next()
		switch {
		case errors.Is(err, io.EOF), err == nil && f.position > position:
			return nil, r.missing(offset, position)
		case err != nil:
			return nil, err
		case f.position == position:
			return f.payload, nil
		}
	}
}

func (r *Reader) missing(offset int64, position uint64) error {
	return &Damage{File: r.chunk.name(), Offset: offset, Position: position, What: "there is no record where one was written"}
}
