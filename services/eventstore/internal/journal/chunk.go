package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A chunk's file begins with a header:
//
//	magic(8) version(4) flags(4) base(8) capacity(8) previous(8) salt(4) crc(4) zeros
//
// base is the chunk's own position: those of its frames are not below it.
// capacity is the length of the file. previous is the position of the last
// record before the chunk, by which a chunk whose end is missing is found out.
// salt is a number by chance, see putHeader.
const (
	chunkHeader  = 64
	chunkVersion = 1
	flagPacked   = 1 << 0
	chunkSuffix  = ".log"
	spareName    = "spare.tmp"
)

var chunkMagic = [8]byte{'t', 'r', 'i', 'j', 'r', 'n', 'l', '\n'}

type header struct {
	base     uint64
	capacity uint64
	previous uint64
	salt     uint32
	packed   bool
}

func (h header) encode() []byte {
	b := make([]byte, chunkHeader)
	copy(b, chunkMagic[:])
	binary.LittleEndian.PutUint32(b[8:], chunkVersion)
	if h.packed {
		binary.LittleEndian.PutUint32(b[12:], flagPacked)
	}
	binary.LittleEndian.PutUint64(b[16:], h.base)
	binary.LittleEndian.PutUint64(b[24:], h.capacity)
	binary.LittleEndian.PutUint64(b[32:], h.previous)
	binary.LittleEndian.PutUint32(b[40:], h.salt)
	binary.LittleEndian.PutUint32(b[44:], crc32.Checksum(b[:44], castagnoli))
	return b
}

// decodeHeader reads the header of a file of size bytes with that name.
func decodeHeader(b []byte, name string, size int64) (header, error) {
	damage := func(what string) error {
		base, _ := baseOf(name) // 0 is as good as nothing
		return &Damage{File: name, Position: base, What: what}
	}
	if len(b) < chunkHeader {
		return header{}, damage("the file is shorter than a chunk's header")
	}
	if crc32.Checksum(b[:44], castagnoli) != binary.LittleEndian.Uint32(b[44:]) || !isZero(b[48:chunkHeader]) || [8]byte(b) != chunkMagic {
		return header{}, damage("the chunk's header is not what was written")
	}
	if version := binary.LittleEndian.Uint32(b[8:]); version != chunkVersion {
		return header{}, fmt.Errorf("%s: chunk version %d is unknown", name, version)
	}
	h := header{
		base:     binary.LittleEndian.Uint64(b[16:]),
		capacity: binary.LittleEndian.Uint64(b[24:]),
		previous: binary.LittleEndian.Uint64(b[32:]),
		salt:     binary.LittleEndian.Uint32(b[40:]),
		packed:   binary.LittleEndian.Uint32(b[12:])&flagPacked != 0,
	}
	if name != nameOf(h.base) {
		return header{}, damage("the chunk belongs under another name, " + nameOf(h.base))
	}
	if uint64(size) != h.capacity {
		return header{}, &Damage{
			File: name, Offset: min(size, int64(h.capacity)), Position: h.base + uint64(size),
			What: fmt.Sprintf("the file has %d bytes, and had %d", size, h.capacity),
		}
	}
	return h, nil
}

// saltOf returns the salt of a header that may be damaged.
func saltOf(b []byte) uint32 {
	if len(b) < chunkHeader {
		return 0
	}
	return binary.LittleEndian.Uint32(b[40:])
}

func nameOf(base uint64) string { return fmt.Sprintf("%020d", base) + chunkSuffix }

func baseOf(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, chunkSuffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	base, err := strconv.ParseUint(digits, 10, 64)
	return base, err == nil
}

// spareWrite is how much of a spare file is written at a time.
const spareWrite = 1 << 18

// makeSpare makes a file of zeros that can become a chunk.
func makeSpare(fs vfs.FS, path string, size uint64) error {
	file, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	zeros := make([]byte, min(size, spareWrite))
	for left := size; left > 0 && err == nil; {
		clear(zeros) // a Write may change what it is given
		n := min(left, uint64(len(zeros)))
		_, err = file.Write(zeros[:n])
		left -= n
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// makeChunk turns a spare file into the chunk of h: it gets its name only when
// its header is on the disk.
func makeChunk(fs vfs.FS, dir string, h header) (vfs.File, error) {
	spare := fs.PathJoin(dir, spareName)
	file, err := fs.OpenReadWrite(spare, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	_, err = file.WriteAt(h.encode(), 0)
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = fs.Rename(spare, fs.PathJoin(dir, nameOf(h.base)))
	}
	if err == nil {
		err = syncFolder(fs, dir)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func syncFolder(fs vfs.FS, dir string) error {
	folder, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
