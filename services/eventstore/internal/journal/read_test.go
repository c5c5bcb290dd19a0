package journal

import (
	"bytes"
	"fmt"
	"math"
	"sort"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// twin is a journal beside what a slice says of it.
type twin struct{ *author }

func (w *twin) Write(t *rapid.T) {
	commands := rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) []byte {
		return bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, rapid.IntRange(0, 600).Draw(t, "size"))
	}), 1, 3), 1, 4).Draw(t, "group")
	w.write(commands...)
}

func (w *twin) Reopen(t *rapid.T) {
	if rapid.Bool().Draw(t, "killed") {
		w.kill()
	} else {
		w.close()
	}
	w.open()
}

func (w *twin) Repack(t *rapid.T) {
	keep := rapid.IntRange(0, 4).Draw(t, "keep of four")
	n := 0
	var kept []Record
	all := func() func(Record) (bool, error) {
		return func(r Record) (bool, error) {
			n++
			if n%4 >= keep {
				return false, nil
			}
			kept = append(kept, Record{r.Position, bytes.Clone(r.Payload)})
			return true, nil
		}
	}
	if _, err := w.journal.Repack(all, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	w.close()
	w.open()
	w.written, w.ends = kept, nil
}

// Check implements rapid.StateMachine.
func (w *twin) Check(t *rapid.T) {
	end := w.end()
	if len(w.ends) > 0 && rapid.Bool().Draw(t, "an earlier view") {
		end = rapid.SampledFrom(w.ends).Draw(t, "end")
	}
	from := rapid.OneOf(rapid.Uint64Range(0, w.end()+100), rapid.Just(uint64(math.MaxUint64))).Draw(t, "from")
	seen := w.written[:w.count(end)]
	first := min(w.count(from), len(seen))

	forward, err := readForward(w.journal, from, end)
	if err != nil {
		t.Fatal(err)
	}
	wantRecords(t, fmt.Sprintf("forward from %d to %d", from, end), seen[first:], forward)
	backward, err := readBackward(w.journal, from, end)
	if err != nil {
		t.Fatal(err)
	}
	wantRecords(t, fmt.Sprintf("backward from %d, of %d", from, end), reversed(seen[:first]), backward)
	w.checkReader(t)
}

// count is how many records lie before a position.
func (w *twin) count(position uint64) int {
	return sort.Search(len(w.written), func(i int) bool { return w.written[i].Position >= position })
}

func (w *twin) checkReader(t *rapid.T) {
	if len(w.written) == 0 {
		return
	}
	r := w.journal.NewReader()
	defer r.Close()
	order := rapid.SliceOfN(rapid.IntRange(0, len(w.written)-1), 0, 5).Draw(t, "records")
	for i := range min(len(w.written), 5) { // and some that follow each other
		order = append(order, len(w.written)-min(len(w.written), 5)+i)
	}
	for _, i := range order {
		want := w.written[i]
		got, err := r.Read(want.Position)
		if err != nil || !bytes.Equal(got, want.Payload) {
			t.Fatalf("position %d: read %.20q, %v, want %.20q", want.Position, got, err, want.Payload)
		}
		if got, err := r.Read(want.Position + 1); err == nil {
			t.Fatalf("position %d, within a frame, holds %q", want.Position+1, got)
		}
	}
}

func TestJournalAgreesWithItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &twin{newAuthor(t, small())}
		t.Repeat(rapid.StateMachineActions(w))
		w.close()
	})
}

// Readers of more chunks than may be open, while the journal is written to.
func TestReadersShareFewOpenFiles(t *testing.T) {
	a := newAuthor(t, small())
	for i := range 60 {
		a.write(one(fmt.Sprint(i)), filled(900))
	}
	written, end := a.written, a.end()
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for i := range 20 {
				got, err := readForward(a.journal, 0, end)
				if i%2 == 1 {
					got, err = readBackward(a.journal, math.MaxUint64, end)
					got = reversed(got)
				}
				if err != nil || len(got) != len(written) {
					t.Errorf("%d of %d records were read: %v", len(got), len(written), err)
					return
				}
			}
		})
	}
	for range 40 {
		a.write(filled(900))
	}
	readers.Wait()
	if open := len(a.journal.open); open > 4+1+2 {
		t.Errorf("%d files are open", open)
	}
	a.close()
}

// An iteration's records hold while others are read.
func TestARecordHoldsUntilTheNextStep(t *testing.T) {
	a := newAuthor(t, Options{})
	for i := range 400 {
		a.write([][]byte{bytes.Repeat([]byte{byte(i)}, 1000+i)})
	}
	i := 0
	for r, err := range a.journal.Forward(0, a.end()) {
		if err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			_, err = readBackward(a.journal, r.Position, a.end())
		}
		if err != nil {
			t.Fatal(err)
		}
		if want := a.written[i].Payload; !bytes.Equal(r.Payload, want) {
			t.Fatalf("record %d changed while it was held", i)
		}
		i++
	}
	i = len(a.written) - 1
	for r, err := range a.journal.Backward(math.MaxUint64, a.end()) {
		if err != nil {
			t.Fatal(err)
		}
		if want := a.written[i].Payload; !bytes.Equal(r.Payload, want) {
			t.Fatalf("record %d is another one backward", i)
		}
		i--
	}
	a.close()
}

// Every position, also within a frame, is a place to begin.
func TestReadsBeginAnywhere(t *testing.T) {
	a := newAuthor(t, small())
	a.write(one("a"), one("bb"))
	a.close()
	a.open()
	a.write([][]byte{[]byte("ccc"), []byte("dddd")}, filled(300))
	a.write(filled(1000))
	w := twin{a}
	for from := range a.end() + 50 {
		got, err := readForward(a.journal, from, a.end())
		if err != nil {
			t.Fatal(err)
		}
		wantRecords(t, fmt.Sprintf("forward from %d", from), a.written[w.count(from):], got)
		got, err = readBackward(a.journal, from, a.end())
		if err != nil {
			t.Fatal(err)
		}
		wantRecords(t, fmt.Sprintf("backward from %d", from), reversed(a.written[:w.count(from)]), got)
	}
	a.close()
}

// A payload may be a copy of a piece of the journal, or what its writer takes
// for a frame of its own making.
func TestAFrameWithinAPayloadIsNone(t *testing.T) {
	a := newAuthor(t, small())
	a.write(one("an event"))
	copied := imageOf(t, a.fs)[nameOf(0)][chunkHeader : chunkHeader+FrameSize(8)]
	a.write([][]byte{copied})
	forged := a.end() + frameHeader
	a.write([][]byte{frameOf(0, forged, 0, final, "forged")}) // the salt is not known
	a.write(one("the last"))
	r := a.journal.NewReader()
	defer r.Close()
	if got, err := r.Read(forged); err == nil {
		t.Errorf("the forged frame was read: %q", got)
	}
	for from := range a.end() {
		got, err := readForward(a.journal, from, a.end())
		if err != nil {
			t.Fatal(err)
		}
		wantRecords(t, fmt.Sprintf("forward from %d", from), a.written[(&twin{a}).count(from):], got)
	}
	a.close()
}
