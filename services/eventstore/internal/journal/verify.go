package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Checked is what Verify has read.
type Checked struct {
	Chunks  int
	Records int
	Bytes   int64
	// Torn is where a write begins that was cut short, 0 when there is none.
	// Opening the journal cuts it off.
	Torn uint64
	// Kept are the files in which writes are kept that were cut off.
	Kept []string
}

// Verify reads the whole journal in folder dir, which nobody has open, and
// reports each damage; it goes on behind it. It changes nothing. Its error
// says that it could not read.
func Verify(fs vfs.FS, dir string, report func(*Damage)) (Checked, error) {
	names, err := fs.List(dir)
	if err != nil {
		return Checked{}, fmt.Errorf("verify the journal: %w", err)
	}
	v := verifier{fs: fs, dir: dir, report: report}
	var bases []uint64
	for _, name := range names {
		if base, ok := baseOf(name); ok {
			bases = append(bases, base)
		} else if strings.HasPrefix(name, tornPrefix) {
			v.checked.Kept = append(v.checked.Kept, name)
		}
	}
	slices.Sort(bases)
	slices.Sort(v.checked.Kept)
	if damage := (*Damage)(nil); errors.As(checkFirst(bases), &damage) {
		report(damage)
	}
	for i, base := range bases {
		if err := v.chunk(base, i == len(bases)-1); err != nil {
			return v.checked, fmt.Errorf("verify the journal: %w", err)
		}
	}
	return v.checked, nil
}

// verifier is one run of Verify.
type verifier struct {
	fs      vfs.FS
	dir     string
	report  func(*Damage)
	checked Checked
	before  *chunk // the chunk before, nil when its end is not known
	last    uint64 // position of the last record
}

// chunk verifies one chunk.
func (v *verifier) chunk(base uint64, isLast bool) error {
	name := nameOf(base)
	content, err := readFile(v.fs, v.fs.PathJoin(v.dir, name))
	if err != nil {
		return err
	}
	v.checked.Chunks++
	v.checked.Bytes += int64(len(content))
	h, err := decodeHeader(content, name, int64(len(content)))
	if damage := (*Damage)(nil); errors.As(err, &damage) {
		v.report(damage)
		h = header{base: base, capacity: uint64(len(content)), salt: saltOf(content)}
		v.before = nil
	} else if err != nil {
		return err
	}
	c := &chunk{header: h}
	if damage := (*Damage)(nil); errors.As(c.follows(v.before, v.last), &damage) {
		v.report(damage)
	}
	v.before = c
	end := v.frames(c, content, isLast)
	v.end(c, content, end, isLast)
	return nil
}

// frames reads the frames of a chunk and reports where there should be one and
// is none; it returns the offset where they end.
func (v *verifier) frames(c *chunk, b []byte, isLast bool) (end int) {
	offset := min(chunkHeader, len(b))
	for {
		f, size, err := decodeFrame(b[offset:], c.salt)
		if err == nil && (c.packed || f.position == c.base+uint64(offset)) {
			v.record(c, &f, offset)
			offset = min(offset+size, len(b))
			continue
		}
		next, found := nextFrame(c, b, offset+frameAlign)
		if !found || isLast && !c.packed && !followed(c, b, offset) {
			return offset
		}
		v.report(&Damage{
			File: c.name(), Offset: int64(offset), Position: c.base + uint64(offset),
			What: fmt.Sprintf("%d bytes are not what was written", next-offset),
		})
		v.before = nil
		offset = next
	}
}

func (v *verifier) record(c *chunk, f *frame, offset int) {
	if f.position <= v.last && f.kind != mark {
		v.report(&Damage{File: c.name(), Offset: int64(offset), Position: f.position, What: "positions do not ascend"})
	}
	if f.kind != mark {
		v.checked.Records++
		v.last = f.position
	}
}

// followed tells whether a group was written after what is at offset.
func followed(c *chunk, b []byte, offset int) bool {
	_, found := laterGroup(c, b, int64(offset))
	return found
}

// nextFrame finds the first frame at or behind offset.
func nextFrame(c *chunk, b []byte, offset int) (next int, found bool) {
	for ; offset+frameHeader <= len(b); offset += frameAlign {
		position := binary.LittleEndian.Uint64(b[offset+8:])
		if !c.packed && position != c.base+uint64(offset) {
			continue
		}
		if _, _, err := decodeFrame(b[offset:], c.salt); err == nil {
			return offset, true
		}
	}
	return 0, false
}

// end looks at what follows a chunk's last frame.
func (v *verifier) end(c *chunk, b []byte, end int, isLast bool) {
	rest := b[end:]
	switch {
	case len(rest) == 0 || isZero(rest) && !c.packed:
	case isLast && !c.packed:
		v.checked.Torn = c.base + uint64(end)
	default:
		v.before = nil
		v.report(&Damage{
			File: c.name(), Offset: int64(end), Position: c.base + uint64(end),
			What: fmt.Sprintf("%d bytes at the end are not what was written", len(rest)),
		})
	}
}

func readFile(fs vfs.FS, path string) ([]byte, error) {
	file, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(file)
	return content, errors.Join(err, file.Close())
}
