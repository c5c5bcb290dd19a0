package storage

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triangle-suite/triangle/services/eventstore/internal/journal"
)

const journalPath = "data/" + journalFolder

// chunksOf returns what the files of the journal hold.
func chunksOf(t *testing.T, fs vfs.FS) map[string][]byte {
	t.Helper()
	names, err := fs.List(journalPath)
	if err != nil {
		t.Fatal(err)
	}
	chunks := map[string][]byte{}
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			if chunks[name], err = readFile(fs, fs.PathJoin(journalPath, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return chunks
}

// overwrite puts content in the place of a file.
func overwrite(t *testing.T, fs vfs.FS, name string, content []byte) {
	t.Helper()
	file, err := fs.Create(fs.PathJoin(journalPath, name), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.Write(slices.Clone(content)) // which a Write may change
	if err := errors.Join(err, file.Close()); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

// found runs Verify and returns the damage of the journal that it names.
func found(t *testing.T, fs vfs.FS) (damages []*journal.Damage, verified Verified) {
	t.Helper()
	verified, err := Verify("data", small(fs, nil), func(damage error) {
		var of *journal.Damage
		if !errors.As(damage, &of) {
			t.Errorf("found %v", damage)
			return
		}
		damages = append(damages, of)
	})
	if err != nil {
		t.Fatal(err)
	}
	return damages, verified
}

// A store of several chunks, packed ones too, is damaged at each byte in turn:
// Verify names the file, and a place at or before the byte. What is behind the
// end of the last chunk's frames is told as a write that was cut short.
func TestVerifyFindsDamageAtEveryByte(t *testing.T) {
	fs := vfs.NewMem()
	store := openSmall(t, fs, nil)
	put(t, store, "$$s", 1, `{"$maxCount":2}`)
	put(t, store, "s", 25)
	mustClose(t, store)
	if _, err := Scavenge("data", small(fs, nil)); err != nil {
		t.Fatal(err)
	}
	store = openSmall(t, fs, nil)
	put(t, store, "t", 30)
	mustClose(t, store)
	mustVerify(t, fs)

	chunks := chunksOf(t, fs)
	if len(chunks) < 4 {
		t.Fatalf("there are %d chunks, want some of each kind", len(chunks))
	}
	flips, cuts := 0, 0
	for name, content := range chunks {
		flips += flipEach(t, fs, name, content)
		cuts += len(content)
		for length := range len(content) {
			overwrite(t, fs, name, content[:length])
			if damages, _ := found(t, fs); !slices.ContainsFunc(damages, func(d *journal.Damage) bool { return d.File == name }) {
				t.Errorf("%s is cut off at %d: found %v", name, length, damages)
			}
		}
		overwrite(t, fs, name, content)
	}
	mustVerify(t, fs)
	t.Logf("%d chunks, %d flips, %d truncations", len(chunks), flips, cuts)
}

func flipEach(t *testing.T, fs vfs.FS, name string, content []byte) (flips int) {
	t.Helper()
	const blank = 32 // of the zeros behind the frames, one byte in so many
	for i := range content {
		if content[i] == 0 && i%blank != 0 {
			continue
		}
		flips++
		damaged := slices.Clone(content)
		damaged[i] ^= 0xff
		overwrite(t, fs, name, damaged)
		damages, verified := found(t, fs)
		named := slices.ContainsFunc(damages, func(d *journal.Damage) bool { return d.File == name && d.Offset <= int64(i) })
		if !named && verified.Torn == 0 {
			t.Errorf("%s, byte %d is flipped: found %v", name, i, damages)
		}
	}
	return flips
}
