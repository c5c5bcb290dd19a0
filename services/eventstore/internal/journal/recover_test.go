package journal

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// full runs what a normal run samples.
var full = flag.Bool("faults.full", false, "flip every bit of every byte, instead of one")

// flips are the bits to flip in one byte.
func flips(rng *rand.Rand) []byte {
	if !*full {
		return []byte{1 << rng.IntN(8)}
	}
	return []byte{1, 2, 4, 8, 16, 32, 64, 128}
}

// sample is a journal of three chunks: the middle one is full, the last one is
// not.
func sample(t *testing.T) *author {
	a := newAuthor(t, small())
	a.write(one("first"), one("second"))
	a.write(filled(700))
	a.write([][]byte{[]byte("a"), []byte("bb"), []byte("ccc")}, one("d"))
	a.write(filled(600))
	a.write(one("e"), [][]byte{[]byte("f"), []byte("g")}, one("h"))
	a.write([][]byte{[]byte("i"), bytes.Repeat([]byte("j"), 50)}, one("k"), [][]byte{[]byte("l"), []byte("m")})
	if len(a.chunks()) != 3 {
		t.Fatalf("%d chunks, want 3", len(a.chunks()))
	}
	return a
}

// damaged is one way to damage the last chunk.
type damaged struct {
	offset  int64 // of the first byte that is not as it was
	content []byte
}

// expect checks what opening a damaged last chunk does: what was followed by a
// later group is reported, what was not is cut off and kept, and logged.
func (a *author) expect(t *testing.T, files image, name string, d damaged) {
	t.Helper()
	var log bytes.Buffer
	fs := files.disk(t, name, d.content)
	j, err := openOn(fs, small(), &log)
	hit := a.hit(d.offset)
	if d.offset < chunkHeader || hit != nil && hit.group != a.groups {
		wantDamage(t, err, name, d.offset)
		return
	}
	if err != nil {
		t.Fatalf("offset %d: %v", d.offset, err)
	}
	keeps := len(a.written)
	if hit != nil {
		keeps = hit.command
	}
	got, err := readForward(j, 0, j.Place().End())
	if err != nil {
		t.Fatalf("offset %d: %v", d.offset, err)
	}
	wantRecords(t, fmt.Sprintf("damaged at offset %d", d.offset), a.written[:keeps], got)
	a.wantKept(t, imageOf(t, fs), d, log.String())
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// wantKept checks that what was cut off is in a file of its own.
func (a *author) wantKept(t *testing.T, files image, d damaged, log string) {
	t.Helper()
	for name, content := range files {
		if strings.HasPrefix(name, tornPrefix) {
			if !bytes.Contains(d.content, content) || len(content) == 0 {
				t.Fatalf("offset %d: %s does not hold what was cut off", d.offset, name)
			}
			if !strings.Contains(log, name) {
				t.Fatalf("offset %d: %s is not logged: %s", d.offset, name, log)
			}
			return
		}
	}
	t.Fatalf("offset %d: nothing was kept", d.offset)
}

// hit is the frame of the last chunk at an offset, nil when there is none.
func (a *author) hit(offset int64) *placed {
	for i := range a.frames {
		if f := &a.frames[i]; offset >= f.offset && offset < f.offset+f.size {
			return f
		}
	}
	return nil
}

// ended are the ways in which a journal ends.
var ended = map[string]func(*author){"closed": (*author).close, "killed": (*author).kill}

func TestEveryFlippedBitOfTheLastChunkIsFound(t *testing.T) {
	for name, end := range ended {
		t.Run(name, func(t *testing.T) {
			a := sample(t)
			end(a)
			files, last, n := imageOf(t, a.fs), a.chunks()[2], 0
			for i := range files[last] {
				for _, bit := range flips(rand.New(rand.NewPCG(uint64(i), 1))) {
					content := bytes.Clone(files[last])
					content[i] ^= bit
					a.expect(t, files, last, damaged{int64(i), content})
					n++
				}
			}
			t.Logf("%d bytes, %d flips", len(files[last]), n)
		})
	}
}

func TestEveryFrameThatIsZeroedIsFound(t *testing.T) {
	a := sample(t)
	a.close()
	files, last := imageOf(t, a.fs), a.chunks()[2]
	for _, f := range a.frames[:len(a.frames)-1] { // the mark alone may go
		content := bytes.Clone(files[last])
		clear(content[f.offset : f.offset+f.size])
		a.expect(t, files, last, damaged{f.offset, content})
	}
}

// A file that is shorter than it was never opens as a chunk, nor one that is
// longer.
func TestEveryTruncationIsFound(t *testing.T) {
	a := sample(t)
	a.close()
	files := imageOf(t, a.fs)
	for i, name := range a.chunks() {
		for length := range files[name] {
			fs := files.disk(t, name, files[name][:length])
			j, err := openOn(fs, small(), &a.log)
			if i < 2 { // not read until someone asks
				if err != nil {
					t.Fatal(err)
				}
				_, err = readForward(j, 0, j.Place().End())
				_, backErr := readBackward(j, math.MaxUint64, j.Place().End())
				wantDamage(t, backErr, name, int64(length))
			}
			wantDamage(t, err, name, int64(length))
		}
		_, err := openOn(files.disk(t, a.chunks()[2], append(bytes.Clone(files[a.chunks()[2]]), 0)), small(), &a.log)
		wantDamage(t, err, a.chunks()[2], int64(len(files[a.chunks()[2]])))
	}
}

// wantHonest reads a journal with one damaged chunk in every way: what is
// served was written, and what is not served is reported.
func (a *author) wantHonest(t *testing.T, files image, name string, d damaged) {
	t.Helper()
	j, err := openOn(files.disk(t, name, d.content), small(), &a.log)
	if err != nil {
		wantDamage(t, err, name, d.offset) // of a packed chunk that is the last one
		return
	}
	got, err := readForward(j, 0, j.Place().End())
	a.wantPrefix(t, a.written, got, err, name, d)
	got, err = readBackward(j, math.MaxUint64, j.Place().End())
	a.wantPrefix(t, reversed(a.written), got, err, name, d)
	r := j.NewReader()
	defer r.Close()
	for _, w := range a.written {
		payload, err := r.Read(w.Position)
		if err == nil && !bytes.Equal(payload, w.Payload) {
			t.Fatalf("offset %d: position %d holds %q, want %q", d.offset, w.Position, payload, w.Payload)
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("offset %d: position %d: %v", d.offset, w.Position, err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func (a *author) wantPrefix(t *testing.T, written, got []Record, err error, name string, d damaged) {
	t.Helper()
	if err != nil {
		wantDamage(t, err, name, d.offset)
		wantRecords(t, fmt.Sprintf("before the damage at %d", d.offset), written[:min(len(got), len(written))], got)
		return
	}
	wantRecords(t, fmt.Sprintf("damaged at %d without a report", d.offset), written, got)
}

func TestNoDamageInAFullChunkIsServed(t *testing.T) {
	a := sample(t)
	a.close()
	for _, name := range a.chunks()[:2] {
		a.damageEverywhere(t, name)
	}
}

func TestNoDamageInAPackedChunkIsServed(t *testing.T) {
	for name, drop := range map[string]int{"all is kept but one": 1000, "every second one is gone": 2} {
		t.Run(name, func(t *testing.T) {
			a := sample(t)
			w := &twin{a}
			n := 0
			var kept []Record
			_, err := a.journal.Repack(func() func(Record) (bool, error) {
				return func(r Record) (bool, error) {
					n++
					if n%drop == 1 {
						return false, nil
					}
					kept = append(kept, Record{r.Position, bytes.Clone(r.Payload)})
					return true, nil
				}
			}, func() error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			w.kill()
			w.open()
			w.written = kept
			for i, name := range w.chunks() {
				if i < 2 || drop == 2 { // else the last one is not packed
					a.damageEverywhere(t, name)
				}
			}
		})
	}
}

func (a *author) damageEverywhere(t *testing.T, name string) {
	t.Helper()
	files, n := imageOf(t, a.fs), 0
	for i := range files[name] {
		for _, bit := range flips(rand.New(rand.NewPCG(uint64(i), 2))) {
			content := bytes.Clone(files[name])
			content[i] ^= bit
			a.wantHonest(t, files, name, damaged{int64(i), content})
			n++
		}
	}
	for i := chunkHeader; i < len(files[name]); i += frameAlign { // lost from here on
		content := bytes.Clone(files[name])
		clear(content[i:])
		a.wantHonest(t, files, name, damaged{int64(i), content})
	}
	t.Logf("%s: %d bytes, %d flips", name, len(files[name]), n)
}

// A chunk that is missing is reported by whoever comes across.
func TestAChunkThatIsMissingIsFound(t *testing.T) {
	a := sample(t)
	a.close()
	files := imageOf(t, a.fs)
	for i, name := range a.chunks()[:2] {
		fs := files.disk(t, "", nil)
		if err := fs.Remove(fs.PathJoin(folder, name)); err != nil {
			t.Fatal(err)
		}
		j, err := openOn(fs, small(), &a.log)
		if i == 0 {
			wantDamage(t, err, name, 0)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = readForward(j, 0, j.Place().End())
		wantDamage(t, err, a.chunks()[0], math.MaxInt64)
		_, err = readBackward(j, math.MaxUint64, j.Place().End())
		wantDamage(t, err, a.chunks()[0], math.MaxInt64)
		r := j.NewReader()
		if _, err := r.Read(a.written[2].Position); !errors.Is(err, ErrDamaged) {
			t.Errorf("a record of the missing chunk: got %v, want %v", err, ErrDamaged)
		}
		r.Close()
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A write that was cut short at any byte, or of which the disk took any of its
// sectors, leaves whole commands from the front, and all that was durable.
func TestAWriteThatIsCutShortIsCutOff(t *testing.T) {
	a := sample(t)
	before, durable := imageOf(t, a.fs), len(a.written)
	forged := frameOf(0, a.end()+frameHeader, 0, final, "forged") // would make the break damage
	g := a.group([][]byte{forged}, one("b"), [][]byte{[]byte("c"), filled(200)[0], []byte("d")}, one("e"))
	if err := a.journal.Write(g); err != nil {
		t.Fatal(err)
	}
	after, name := imageOf(t, a.fs), a.chunks()[2]
	from := int(g.start - g.place.base)
	for cut := range len(g.buf) {
		content := bytes.Clone(before[name])
		copy(content[from:from+cut], after[name][from:])
		a.expectCut(t, after, name, content, durable)
	}
	const sector = 16
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 3))
		content := bytes.Clone(before[name])
		for o := from / sector * sector; o < from+len(g.buf); o += sector {
			if rng.IntN(3) > 0 {
				copy(content[o:o+sector], after[name][o:o+sector])
			}
		}
		a.expectCut(t, after, name, content, durable)
	}
	a.close()
}

func (a *author) expectCut(t *testing.T, files image, name string, content []byte, durable int) {
	t.Helper()
	fs := files.disk(t, name, content)
	for range 2 { // and once more, what is left
		j, err := openOn(fs, small(), &a.log)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readForward(j, 0, j.Place().End())
		if err != nil {
			t.Fatal(err)
		}
		if len(got) < durable {
			t.Fatalf("%d records are left, %d were durable", len(got), durable)
		}
		wantRecords(t, "what is left", a.written[:len(got)], got)
		if n := len(got); n < len(a.written) && a.hit(int64(a.written[n].Position-a.journal.place.base)).command != n {
			t.Fatalf("half of a command is left: %d records", n)
		}
		if err := j.Abandon(); err != nil {
			t.Fatal(err)
		}
	}
}

// What was kept of one write is not overwritten by what is kept of the next
// at that place.
func TestWhatIsCutOffIsKeptForEver(t *testing.T) {
	a := sample(t)
	a.kill()
	fs := a.fs
	name := fs.PathJoin(folder, a.chunks()[2])
	for _, scrap := range []string{"first", "second", "third"} {
		file, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		// Where the last group ended, over the mark that the opening before made.
		if _, err := file.WriteAt([]byte(scrap), int64(a.end()-a.journal.place.base)); err != nil {
			t.Fatal(err)
		}
		j, err := openOn(fs, small(), &a.log)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(j.Abandon(), file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	kept := 0
	for name, content := range imageOf(t, fs) {
		if strings.HasPrefix(name, tornPrefix) && bytes.ContainsAny(content, "fst") {
			kept++
		}
	}
	if kept != 3 {
		t.Errorf("%d of 3 scraps are kept", kept)
	}
}

// A folder that can't be read is no empty journal.
func TestAFolderThatIsNotThere(t *testing.T) {
	if _, err := Open("nowhere", Options{FS: vfs.NewMem()}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %v", err, os.ErrNotExist)
	}
}
