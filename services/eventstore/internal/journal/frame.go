package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// A frame is a header, a payload, and zeros up to the next multiple of 8:
//
//	crc(4) length(4) position(8) back(4) kind(4) payload(length)
//
// All numbers are little-endian. The CRC-32C begins with the chunk's salt and
// covers what follows it, padding apart. Who writes payloads does not know the
// salt, so that no payload can hold what looks like a frame of its chunk.
// "back" is how far before the frame its group begins.
const (
	frameHeader = 24
	frameAlign  = 8
)

// kind tells what a frame is.
type kind uint32

const (
	inner kind = 1 + iota // a record that others belong to: all are there, or none
	final                 // a record that stands alone, or the last of several
	mark                  // no record: what comes before it is durable
)

// frame is a frame whose checksum is right.
type frame struct {
	position uint64
	back     uint32
	kind     kind
	payload  []byte
}

// groupStart is where the frame's group begins.
func (f *frame) groupStart() uint64 { return f.position - uint64(f.back) }

// FrameSize is what a record of n bytes takes in the journal.
func FrameSize(n int) int { return align(frameHeader + n) }

func align(n int) int { return (n + frameAlign - 1) &^ (frameAlign - 1) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// putHeader completes the frame b, whose payload is in place.
func putHeader(b []byte, salt uint32, position uint64, back uint32, kind kind) {
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-frameHeader))
	binary.LittleEndian.PutUint64(b[8:], position)
	binary.LittleEndian.PutUint32(b[16:], back)
	binary.LittleEndian.PutUint32(b[20:], uint32(kind))
	binary.LittleEndian.PutUint32(b, crc32.Update(salt, castagnoli, b[4:]))
}

var (
	// errShort says that the bytes end within the frame.
	errShort = errors.New("the frame is cut off")
	// errNoFrame says that the bytes are no frame.
	errNoFrame = errors.New("the frame's checksum is wrong")
	// errBlank says that zeros are where a frame could be: the frames end.
	errBlank = errors.New("there is no frame")
)

// frameLength returns the length of the frame that b begins with, from its
// header alone.
func frameLength(b []byte) (int, error) {
	if len(b) < frameHeader {
		return 0, errShort
	}
	length := binary.LittleEndian.Uint32(b[4:])
	if length == 0 && binary.LittleEndian.Uint32(b) == 0 && isZero(b[:frameHeader]) {
		return 0, errBlank
	}
	if length > maxPayload {
		return 0, errNoFrame
	}
	return FrameSize(int(length)), nil
}

// maxPayload bounds a frame's length: what is more is damage.
const maxPayload = 1 << 30

// decodeFrame reads the frame that b begins with, in a chunk with that salt,
// and returns its size.
func decodeFrame(b []byte, salt uint32) (f frame, size int, err error) {
	size, err = frameLength(b)
	if err != nil {
		return frame{}, 0, err
	}
	end := frameHeader + int(binary.LittleEndian.Uint32(b[4:]))
	if size > len(b) {
		return frame{}, size, errShort
	}
	if crc32.Update(salt, castagnoli, b[4:end]) != binary.LittleEndian.Uint32(b) || !isZero(b[end:size]) {
		return frame{}, 0, errNoFrame
	}
	f = frame{
		position: binary.LittleEndian.Uint64(b[8:]),
		back:     binary.LittleEndian.Uint32(b[16:]),
		kind:     kind(binary.LittleEndian.Uint32(b[20:])),
		payload:  b[frameHeader:end:end],
	}
	if f.kind < inner || f.kind > mark || uint64(f.back) > f.position {
		return frame{}, 0, errNoFrame
	}
	return f, size, nil
}

func isZero(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
