package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// frameOf makes a frame as it stands in a file.
func frameOf(salt uint32, position uint64, back uint32, k kind, payload string) []byte {
	b := append(make([]byte, frameHeader), payload...)
	putHeader(b, salt, position, back, k)
	return append(b, make([]byte, FrameSize(len(payload))-len(b))...)
}

func TestFramesSurviveTheTrip(t *testing.T) {
	for _, payload := range []string{"", "a", "12345678", "123456789", string(make([]byte, 1<<16))} {
		b := frameOf(7, 4096, 64, inner, payload)
		f, size, err := decodeFrame(append(b, "what follows"...), 7)
		if err != nil {
			t.Fatal(err)
		}
		if f.position != 4096 || f.groupStart() != 4032 || f.kind != inner || string(f.payload) != payload || size != len(b) {
			t.Errorf("%d bytes became %+v, size %d", len(payload), f, size)
		}
	}
}

func TestBytesThatAreNoFrame(t *testing.T) {
	whole := frameOf(7, 4096, 64, final, "payload")
	changed := func(at int, x byte) []byte {
		b := bytes.Clone(whole)
		b[at] ^= x
		return b
	}
	resigned := func(change func(b []byte)) []byte {
		b := bytes.Clone(whole)
		change(b)
		binary.LittleEndian.PutUint32(b, crc32.Update(7, castagnoli, b[4:frameHeader+len("payload")]))
		return b
	}
	cases := map[string]struct {
		b    []byte
		want error
	}{
		"nothing":                       {nil, errShort},
		"zeros":                         {make([]byte, 64), errBlank},
		"half a header":                 {whole[:frameHeader-1], errShort},
		"half a payload":                {whole[:frameHeader+3], errShort},
		"its padding is missing":        {whole[:len(whole)-1], errShort},
		"its padding is no zeros":       {changed(len(whole)-1, 1), errNoFrame},
		"another checksum":              {changed(0, 1), errNoFrame},
		"another length":                {changed(4, 1), errNoFrame},
		"a length beyond all measure":   {changed(7, 0xff), errNoFrame},
		"another position":              {changed(8, 1), errNoFrame},
		"another group":                 {changed(16, 1), errNoFrame},
		"another payload":               {changed(frameHeader, 1), errNoFrame},
		"a kind that there is not":      {resigned(func(b []byte) { b[20] = 4 }), errNoFrame},
		"no kind":                       {resigned(func(b []byte) { b[20] = 0 }), errNoFrame},
		"a group before all":            {resigned(func(b []byte) { binary.LittleEndian.PutUint32(b[16:], 4097) }), errNoFrame},
		"a frame of a chunk of another": {frameOf(8, 4096, 64, final, "payload"), errNoFrame},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, _, err := decodeFrame(tc.b, 7); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func FuzzDecodeFrame(f *testing.F) {
	f.Add(frameOf(0, 64, 0, final, "payload"), true)
	f.Add(make([]byte, 64), false)
	f.Fuzz(func(t *testing.T, b []byte, sign bool) {
		if size, err := frameLength(b); sign && err == nil && size <= len(b) { // or a checksum would keep all out
			binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:frameHeader+int(binary.LittleEndian.Uint32(b[4:]))], castagnoli))
		}
		frame, size, err := decodeFrame(b, 0)
		if err != nil {
			return
		}
		again := frameOf(0, frame.position, frame.back, frame.kind, string(frame.payload))
		if size > len(b) || !bytes.Equal(again, b[:size]) {
			t.Errorf("%x was taken for %+v, size %d", b, frame, size)
		}
	})
}

func FuzzDecodeHeader(f *testing.F) {
	f.Add(header{base: 512, capacity: chunkHeader, previous: 100, salt: 5, packed: true}.encode(), true)
	f.Add([]byte("short"), false)
	f.Fuzz(func(t *testing.T, b []byte, sign bool) {
		base := uint64(0)
		if sign && len(b) >= chunkHeader {
			base = binary.LittleEndian.Uint64(b[16:])
			binary.LittleEndian.PutUint32(b[44:], crc32.Checksum(b[:44], castagnoli))
		}
		h, err := decodeHeader(b, nameOf(base), int64(len(b)))
		if err != nil {
			return
		}
		h2, err := decodeHeader(h.encode(), nameOf(base), int64(len(b)))
		if err != nil || h2 != h {
			t.Errorf("%+v became %+v, %v", h, h2, err)
		}
	})
}

// An arbitrary file as the last chunk: it is refused, or what it gives is the
// same in every way of reading, and the next time.
func FuzzOpen(f *testing.F) {
	h := header{capacity: 256, salt: 5}
	whole := append(h.encode(), frameOf(5, 64, 0, final, "payload")...)
	f.Add(append(whole, make([]byte, 256-len(whole))...), true)
	f.Add(h.encode(), false)
	f.Add(h.encode(), true) // no room for a mark
	f.Fuzz(func(t *testing.T, b []byte, sign bool) {
		if sign && len(b) >= chunkHeader {
			copy(b, header{capacity: uint64(len(b)), salt: 5, packed: b[12]&1 != 0}.encode())
		}
		fs := image{nameOf(0): nil}.disk(t, nameOf(0), b)
		records, ok := readTwice(t, fs)
		if !ok {
			return
		}
		again, ok := readTwice(t, fs)
		if !ok {
			t.Fatal("it opened once, and not again")
		}
		wantRecords(t, "read again", records, again)
	})
}

// readTwice opens a journal and reads it both ways; ok is false when it does
// not open, or when its last chunk is packed and damaged.
func readTwice(t *testing.T, fs vfs.FS) (records []Record, ok bool) {
	var log bytes.Buffer
	j, err := openOn(fs, Options{}, &log)
	if err != nil {
		return nil, false
	}
	records, err = readForward(j, 0, j.Place().End())
	if err != nil {
		t.Fatalf("it opened, and is not read: %v", err)
	}
	back, err := readBackward(j, ^uint64(0), j.Place().End())
	if err != nil {
		t.Fatalf("it opened, and is not read backward: %v", err)
	}
	wantRecords(t, "read backward", reversed(records), back)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return records, true
}
