package journal

import (
	"errors"
	"fmt"
	"io"
)

// Repack removes records for good, chunk by chunk, and returns how many bytes
// the files have become smaller. For each chunk it asks chunk for the function
// that decides about its records, and calls commit before they are gone.
//
// Nothing is written to the journal beside it, nor after it until it was
// opened again.
func (j *Journal) Repack(chunk func() (keep func(Record) (bool, error)), commit func() error) (freed int64, err error) {
	for i := 0; ; i++ {
		base, ok := j.base(i)
		if !ok {
			return freed, nil
		}
		less, err := j.repack(base, chunk(), commit)
		if err != nil {
			return freed, fmt.Errorf("pack the chunk %s: %w", nameOf(base), err)
		}
		freed += less
	}
}

func (j *Journal) repack(base uint64, keep func(Record) (bool, error), commit func() error) (freed int64, err error) {
	c, err := j.acquire(base)
	if err != nil {
		return 0, err
	}
	kept, all, err := j.choose(c, keep)
	if err != nil || all {
		j.release(c)
		return 0, err
	}
	packer, err := j.pack(c, kept)
	if err != nil {
		j.release(c)
		return 0, err
	}
	if err := commit(); err != nil {
		j.release(c)
		return 0, errors.Join(err, packer.Abandon())
	}
	freed = int64(c.capacity) - int64(packer.Size())
	return freed, errors.Join(j.forget(c), packer.Commit())
}

// choose asks which records of a chunk are kept.
func (j *Journal) choose(c *chunk, keep func(Record) (bool, error)) (kept []bool, all bool, err error) {
	all = true
	err = j.records(c, func(r Record) error {
		ok, err := keep(r)
		kept, all = append(kept, ok), all && ok
		return err
	})
	return kept, all, err
}

// pack writes what is kept of a chunk.
func (j *Journal) pack(c *chunk, kept []bool) (*Packer, error) {
	packer, err := NewPacker(j.fs, j.dir, c.base, c.previous)
	if err != nil {
		return nil, err
	}
	i := 0
	err = j.records(c, func(r Record) error {
		i++
		if !kept[i-1] {
			return nil
		}
		return packer.Add(r)
	})
	if err != nil {
		return nil, errors.Join(err, packer.Abandon())
	}
	return packer, nil
}

// records hands all records of one chunk to use.
func (j *Journal) records(c *chunk, use func(Record) error) error {
	s := newScanner(c, chunkHeader, int64(c.capacity))
	defer s.free()
	for {
		f, _, err := s.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case f.kind == mark:
			continue
		}
		if err := use(Record{f.position, f.payload}); err != nil {
			return err
		}
	}
}

// forget closes a chunk that is about to be replaced, and writes to it no more.
func (j *Journal) forget(c *chunk) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.active == c {
		j.active = nil
	}
	delete(j.open, c.base)
	return c.file.Close()
}
