package journal

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestGroupsKeepTheirRecords(t *testing.T) {
	a := newAuthor(t, Options{})
	g := a.group(one("a"), [][]byte{[]byte("bb"), []byte("ccc")})
	for _, r := range a.written {
		if got, ok := g.Read(r.Position); !ok || string(got) != string(r.Payload) {
			t.Errorf("position %d holds %q, %v before it is written, want %q", r.Position, got, ok, r.Payload)
		}
	}
	for _, position := range []uint64{0, a.written[0].Position + 8, g.Place().End()} {
		if got, ok := g.Read(position); ok {
			t.Errorf("position %d holds %q, and no record begins there", position, got)
		}
	}
	if err := a.journal.Write(g); err != nil {
		t.Fatal(err)
	}
	got, err := readForward(a.journal, 0, a.end())
	if err != nil {
		t.Fatal(err)
	}
	wantRecords(t, "what was written", a.written, got)
	a.close()
}

// sizes are the sizes of all chunks.
func sizes(t *testing.T, a *author) (sizes []int) {
	t.Helper()
	files := imageOf(t, a.fs)
	for _, name := range a.chunks() {
		sizes = append(sizes, len(files[name]))
	}
	return sizes
}

func wantSizes(t *testing.T, a *author, want ...int) {
	t.Helper()
	got := sizes(t, a)
	if len(got) != len(want) {
		t.Fatalf("the chunks have %v bytes, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("the chunks have %v bytes, want %v", got, want)
		}
	}
}

func TestChunksGrowUpToALimit(t *testing.T) {
	a := newAuthor(t, small())
	for range 12 {
		a.write(filled(400))
	}
	wantSizes(t, a, 512, 1024, 2048, 2048, 2048)
	a.close()
}

// exactly is the payload that fills a chunk, but for a mark.
func exactly(capacity int) int { return capacity - chunkHeader - 2*frameHeader }

func TestAChunkIsFilledToTheLastByte(t *testing.T) {
	a := newAuthor(t, small())
	a.write(filled(exactly(512)))
	wantSizes(t, a, 512)
	a.close() // the mark takes the last bytes
	a.open()
	a.kill() // nothing was written, so no second mark is needed
	a.open()
	wantSizes(t, a, 512)
	a.write(one("next"))
	wantSizes(t, a, 512, 1024)
	got, err := readForward(a.journal, 0, a.end())
	if err != nil {
		t.Fatal(err)
	}
	wantRecords(t, "what was written", a.written, got)
	a.close()
}

func TestAGroupThatIsLargerThanAChunk(t *testing.T) {
	a := newAuthor(t, small())
	a.write(one("first"))
	a.write(filled(9000), filled(5000))
	a.write(one("last"))
	wantSizes(t, a, 512, FrameSize(9000)+FrameSize(5000)+chunkHeader+frameHeader, 2048)
	a.kill()
	a.open()
	got, err := readBackward(a.journal, ^uint64(0), a.end())
	if err != nil {
		t.Fatal(err)
	}
	wantRecords(t, "what was written", reversed(a.written), got)
	a.close()
}

func TestTheNextChunkIsMadeBesideTheWriting(t *testing.T) {
	a := newAuthor(t, small())
	a.write(filled(100))
	if a.journal.spare != nil {
		t.Error("a spare file is made before half of the chunk is used")
	}
	a.write(filled(200))
	if a.journal.spare == nil {
		t.Fatal("no spare file is made when half of the chunk is used")
	}
	if err := a.journal.spare.wait(); err != nil {
		t.Fatal(err)
	}
	if spare := imageOf(t, a.fs)[spareName]; len(spare) != 1024 || !isZero(spare) {
		t.Errorf("the spare file has %d bytes, want 1024 zeros", len(spare))
	}
	a.write(filled(2000)) // more than the spare file has
	wantSizes(t, a, 512, FrameSize(2000)+chunkHeader+frameHeader)
	a.close()
}

func TestOpeningRemovesWhatWasNotFinished(t *testing.T) {
	a := newAuthor(t, small())
	a.write(one("a"))
	a.close()
	files := imageOf(t, a.fs)
	files[spareName], files[packName], files["notes.txt"] = []byte("half"), []byte("half"), nil
	fs := files.disk(t, "", nil)
	j, err := openOn(fs, small(), &strings.Builder{})
	if err != nil {
		t.Fatal(err)
	}
	if left := imageOf(t, fs); left[spareName] != nil || left[packName] != nil || len(left) != 2 {
		t.Errorf("%d files are left, want the chunk and what is not ours", len(left))
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestClosingMarksTheEndOnce(t *testing.T) {
	a := newAuthor(t, small())
	a.close()
	if files := imageOf(t, a.fs); len(files) != 0 {
		t.Errorf("an empty journal has %d files", len(files))
	}
	a.open()
	a.write(one("a"))
	for range 3 {
		a.close()
		a.open()
	}
	if want := a.written[0].Position + uint64(FrameSize(1)+frameHeader); a.end() != want {
		t.Errorf("the journal ends at %d, want one mark behind the record, %d", a.end(), want)
	}
	a.close()
}

// syncs counts the syncs of one file that come before its next write.
type syncs struct {
	vfs.FS
	synced bool
	writes []bool // whether a sync came before each write
}

func (s *syncs) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	file, err := s.FS.OpenReadWrite(name, category, opts...)
	return &syncedFile{file, s}, err
}

type syncedFile struct {
	vfs.File
	syncs *syncs
}

func (f *syncedFile) SyncData() error {
	f.syncs.synced = true
	return f.File.SyncData()
}

func (f *syncedFile) WriteAt(b []byte, offset int64) (int, error) {
	f.syncs.writes = append(f.syncs.writes, f.syncs.synced)
	f.syncs.synced = false
	return f.File.WriteAt(b, offset)
}

// What a process wrote that was killed may not be durable. A mark behind it
// must not get to the disk before it does.
func TestAMarkComesAfterWhatItMarks(t *testing.T) {
	a := newAuthor(t, small())
	a.write(one("a"))
	a.kill()
	disk := &syncs{FS: a.fs}
	j, err := openOn(disk, small(), &a.log)
	if err != nil {
		t.Fatal(err)
	}
	if len(disk.writes) != 1 || !disk.writes[0] {
		t.Errorf("before each write there was a sync: %v, want one write, the mark, after one", disk.writes)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}
