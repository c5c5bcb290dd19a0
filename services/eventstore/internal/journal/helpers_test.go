package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
)

const folder = "journal"

// tester is what tests and properties have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// author writes a journal as the store does, and remembers what it wrote.
type author struct {
	t       tester
	fs      *vfs.MemFS
	opts    Options
	log     bytes.Buffer
	journal *Journal
	written []Record
	ends    []uint64 // where groups ended
	frames  []placed // of the chunk that is written to
	groups  int
}

// placed is a frame's place in the last chunk's file.
type placed struct {
	offset, size int64
	group        int
	command      int // by its first record, among all that were written
	isMark       bool
}

func newAuthor(t tester, opts Options) *author {
	t.Helper()
	a := &author{t: t, fs: vfs.NewCrashableMem(), opts: opts}
	if err := a.fs.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	a.open()
	return a
}

// small are chunks of a few hundred bytes.
func small() Options { return Options{FirstChunk: 512, MaxChunk: 2048, maxOpen: 2} }

func (a *author) open() {
	a.t.Helper()
	journal, err := openOn(a.fs, a.opts, &a.log)
	if err != nil {
		a.t.Fatal(err)
	}
	a.journal = journal
}

func openOn(fs vfs.FS, opts Options, log io.Writer) (*Journal, error) {
	opts.FS, opts.Logger = fs, slog.New(slog.NewTextHandler(log, nil))
	return Open(folder, opts)
}

// write writes one group of commands, each of which is some records.
func (a *author) write(commands ...[][]byte) {
	a.t.Helper()
	g := a.group(commands...)
	if err := a.journal.Write(g); err != nil {
		a.t.Fatal(err)
	}
}

// group makes a group without writing it.
func (a *author) group(commands ...[][]byte) *Group {
	size := 0
	for _, records := range commands {
		for _, payload := range records {
			size += FrameSize(len(payload))
		}
	}
	var g Group
	g.Reset(a.journal.Place())
	if !g.Fits(size) {
		g.Reset(a.journal.NextChunk(a.journal.Place(), size))
		a.frames = nil
	}
	a.groups++
	for _, records := range commands {
		command := len(a.written)
		for i, payload := range records {
			position := g.End(append(g.Begin(), payload...), i == len(records)-1)
			a.written = append(a.written, Record{position, bytes.Clone(payload)})
			a.frames = append(a.frames, placed{int64(position - g.place.base), int64(FrameSize(len(payload))), a.groups, command, false})
		}
	}
	a.ends = append(a.ends, g.Place().End())
	return &g
}

// close closes the journal, which marks its end.
func (a *author) close() {
	a.t.Helper()
	if !a.journal.marked && a.journal.active != nil {
		a.groups++
		a.frames = append(a.frames, placed{int64(a.journal.place.next - a.journal.place.base), frameHeader, a.groups, len(a.written), true})
	}
	if err := a.journal.Close(); err != nil {
		a.t.Fatal(err)
	}
}

// kill ends the journal as kill -9 does.
func (a *author) kill() {
	a.t.Helper()
	if err := a.journal.Abandon(); err != nil {
		a.t.Fatal(err)
	}
}

func (a *author) end() uint64 { return a.journal.Place().End() }

// one is a command of a single record.
func one(payload string) [][]byte { return [][]byte{[]byte(payload)} }

// filled is a command of a single record of n bytes.
func filled(n int) [][]byte { return [][]byte{bytes.Repeat([]byte{'x'}, n)} }

// readForward reads all records, until the first error.
func readForward(j *Journal, from, end uint64) (records []Record, err error) {
	for r, err := range j.Forward(from, end) {
		if err != nil {
			return records, err
		}
		records = append(records, Record{r.Position, bytes.Clone(r.Payload)})
	}
	return records, nil
}

func readBackward(j *Journal, before, end uint64) (records []Record, err error) {
	for r, err := range j.Backward(before, end) {
		if err != nil {
			return records, err
		}
		records = append(records, Record{r.Position, bytes.Clone(r.Payload)})
	}
	return records, nil
}

func wantRecords(t tester, what string, want, got []Record) {
	t.Helper()
	if len(want) == 0 && len(got) == 0 {
		return
	}
	if diff := cmp.Diff(show(want), show(got)); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func show(records []Record) (lines []string) {
	for _, r := range records {
		lines = append(lines, fmt.Sprintf("%d: %d bytes, %.40q", r.Position, len(r.Payload), r.Payload))
	}
	return lines
}

func reversed(records []Record) (turned []Record) {
	for i := len(records) - 1; i >= 0; i-- {
		turned = append(turned, records[i])
	}
	return turned
}

// image is a folder's files.
type image map[string][]byte

func imageOf(t tester, fs vfs.FS) image {
	t.Helper()
	names, err := fs.List(folder)
	if err != nil {
		t.Fatal(err)
	}
	files := image{}
	for _, name := range names {
		if files[name], err = readFile(fs, fs.PathJoin(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// disk makes a disk of the files, with one of them replaced.
func (i image) disk(t tester, name string, content []byte) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewMem()
	err := fs.MkdirAll(folder, 0o755)
	for file, b := range i {
		if file == name {
			b = content
		}
		err = errors.Join(err, writeSynced(fs, fs.PathJoin(folder, file), bytes.Clone(b)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

// chunks are the names of the chunks, in order.
func (a *author) chunks() (names []string) {
	for _, base := range a.journal.bases {
		names = append(names, nameOf(base))
	}
	return names
}

// wantDamage checks that err says that the file is damaged, at an offset or
// before it.
func wantDamage(t testing.TB, err error, file string, offset int64) {
	t.Helper()
	var damage *Damage
	if !errors.Is(err, ErrDamaged) || !errors.As(err, &damage) {
		t.Fatalf("offset %d of %s: got %v, want %v", offset, file, err, ErrDamaged)
	}
	if damage.File != file || damage.Offset > offset {
		t.Fatalf("offset %d of %s: the damage is reported in %s at %d", offset, file, damage.File, damage.Offset)
	}
}
