package journal

import (
	"bufio"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// packName is a packed chunk's name until it is whole.
const packName = "pack.tmp"

// Packer writes a packed chunk: records that keep their positions, without the
// gaps between them. It takes its name, and the place of a chunk of that name,
// when it is committed.
type Packer struct {
	fs     vfs.FS
	dir    string
	header header
	file   vfs.File
	buf    *bufio.Writer
	frame  []byte
	last   uint64
}

// NewPacker begins the packed chunk for records from position base on, in the
// journal's folder dir. previous is the position of the last record before.
func NewPacker(fs vfs.FS, dir string, base, previous uint64) (*Packer, error) {
	file, err := fs.Create(fs.PathJoin(dir, packName), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("begin a packed chunk: %w", err)
	}
	p := &Packer{fs: fs, dir: dir, file: file, buf: bufio.NewWriterSize(file, 1<<20)}
	p.header = header{base: base, capacity: chunkHeader, previous: previous, packed: true}
	_, err = p.buf.Write(make([]byte, chunkHeader)) // until the length is known
	return p, err
}

// Size is how long the chunk's file is so far.
func (p *Packer) Size() uint64 { return p.header.capacity }

// Add adds a record. Positions ascend.
func (p *Packer) Add(r Record) error {
	if r.Position <= p.last || r.Position < p.header.base {
		return fmt.Errorf("position %d does not follow position %d", r.Position, max(p.last, p.header.base))
	}
	p.last = r.Position
	p.frame = append(append(p.frame[:0], make([]byte, frameHeader)...), r.Payload...)
	putHeader(p.frame, p.header.salt, r.Position, 0, final)
	for len(p.frame)%frameAlign != 0 {
		p.frame = append(p.frame, 0)
	}
	p.header.capacity += uint64(len(p.frame))
	_, err := p.buf.Write(p.frame)
	return err
}

// Commit completes the chunk and gives it its name.
func (p *Packer) Commit() error {
	path := p.fs.PathJoin(p.dir, packName)
	err := p.buf.Flush()
	if err == nil {
		err = p.file.Sync()
	}
	if err := errors.Join(err, p.file.Close()); err != nil {
		return fmt.Errorf("write a packed chunk: %w", err)
	}
	file, err := p.fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("write a packed chunk: %w", err)
	}
	_, err = file.WriteAt(p.header.encode(), 0)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write a packed chunk: %w", err)
	}
	if err := p.fs.Rename(path, p.fs.PathJoin(p.dir, nameOf(p.header.base))); err != nil {
		return fmt.Errorf("write a packed chunk: %w", err)
	}
	return syncFolder(p.fs, p.dir)
}

// Abandon removes what was written.
func (p *Packer) Abandon() error {
	return errors.Join(p.file.Close(), p.fs.Remove(p.fs.PathJoin(p.dir, packName)))
}
