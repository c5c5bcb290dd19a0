package eventstore_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/go-cmp/cmp"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
)

func (f *fixture) softDelete(stream string) {
	f.Helper()
	deleted, err := f.client.DeleteStream(f.ctx, stream, esdb.DeleteStreamOptions{ExpectedRevision: esdb.Any{}})
	f.must(err)
	if deleted.Position.Commit == 0 {
		f.Error("the deletion has no position")
	}
}

func (f *fixture) tombstone(stream string) {
	f.Helper()
	deleted, err := f.client.TombstoneStream(f.ctx, stream, esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}})
	f.must(err)
	if deleted.Position.Commit == 0 {
		f.Error("the tombstone has no position")
	}
}

func (f *fixture) metadata(stream string) *esdb.StreamMetadata {
	f.Helper()
	metadata, err := f.client.GetStreamMetadata(f.ctx, stream, esdb.ReadStreamOptions{})
	f.must(err)
	return metadata
}

func TestMetadataIsTheLastThatWasWritten(t *testing.T) {
	f := newFixture(t)
	f.setMetadata("s", func(m *esdb.StreamMetadata) { m.SetMaxCount(5) })
	f.setMetadata("s", func(m *esdb.StreamMetadata) { m.SetMaxCount(7); m.AddCustomProperty("owner", "sales") })
	got := f.metadata("s")
	if got.MaxCount() == nil || *got.MaxCount() != 7 || got.CustomProperty("owner") != "sales" {
		t.Errorf("metadata is %+v", got)
	}
	if got := f.revisions("$$s"); !cmp.Equal(got, []uint64{1}) {
		t.Errorf("the metadata stream shows revisions %v, want the last alone", got)
	}
}

func TestMetadataLimitsStreamReads(t *testing.T) {
	cases := map[string]struct {
		set  func(*esdb.StreamMetadata)
		want []uint64
	}{
		"none":            {func(m *esdb.StreamMetadata) { m.AddCustomProperty("a", 1) }, []uint64{0, 1, 2, 3, 4}},
		"count":           {func(m *esdb.StreamMetadata) { m.SetMaxCount(2) }, []uint64{3, 4}},
		"a large count":   {func(m *esdb.StreamMetadata) { m.SetMaxCount(50) }, []uint64{0, 1, 2, 3, 4}},
		"truncate before": {func(m *esdb.StreamMetadata) { m.SetTruncateBefore(3) }, []uint64{3, 4}},
		"both":            {func(m *esdb.StreamMetadata) { m.SetTruncateBefore(3); m.SetMaxCount(1) }, []uint64{4}},
		"all":             {func(m *esdb.StreamMetadata) { m.SetTruncateBefore(5) }, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.append("s", events(5)...)
			f.setMetadata("s", tc.set)
			if diff := cmp.Diff(tc.want, f.revisions("s")); diff != "" {
				t.Errorf("forward (-want +got):\n%s", diff)
			}
			backward := f.read("s", esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}})
			if diff := cmp.Diff(reverse(tc.want), revisionsOf(backward), cmp.Comparer(sameRevisions)); diff != "" {
				t.Errorf("backward (-want +got):\n%s", diff)
			}
			if got := len(f.readAll(esdb.ReadAllOptions{})); got != 6 {
				t.Errorf("$all holds %d events, want all 6", got)
			}
			if got := f.append("s", events(1)...).NextExpectedVersion; got != 5 {
				t.Errorf("the next event has revision %d, want 5", got)
			}
		})
	}
}

// sameRevisions takes no revisions and none at all for the same.
func sameRevisions(a, b []uint64) bool {
	return len(a) == len(b) && (len(a) == 0 || cmp.Equal(a, b))
}

// clock is a store's clock that a test sets.
type clock struct{ now atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.now.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) Now() time.Time          { return time.Unix(0, c.now.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.now.Add(int64(d)) }

func TestMaxAgeHidesWhatIsOld(t *testing.T) {
	clock := newClock()
	f := newFixture(t, eventstoretest.WithClock(clock.Now))
	for range 10 {
		f.append("s", events(2)...)
		clock.advance(time.Second)
	}
	f.setMetadata("s", func(m *esdb.StreamMetadata) { m.SetMaxAge(4 * time.Second) })
	// The last two events are one second old, and those of four seconds just
	// young enough.
	if diff := cmp.Diff([]uint64{12, 13, 14, 15, 16, 17, 18, 19}, f.revisions("s")); diff != "" {
		t.Errorf("revisions (-want +got):\n%s", diff)
	}
	clock.advance(time.Hour)
	if got := f.revisions("s"); len(got) > 0 {
		t.Errorf("a stream whose events are all too old reads as %v, want empty", got)
	}
	if got := f.append("s", events(1)...).NextExpectedVersion; got != 20 {
		t.Errorf("the next event has revision %d, want 20", got)
	}
	if got := f.read("s", esdb.ReadStreamOptions{})[0].Event.CreatedDate; !got.Equal(clock.Now()) {
		t.Errorf("the event was made at %v, by the store's clock %v", got, clock.Now())
	}
}

func TestSoftDelete(t *testing.T) {
	f := newFixture(t)
	f.append("s", events(3)...)
	f.softDelete("s")
	_, err := f.tryRead("s", esdb.ReadStreamOptions{})
	f.wantCode(err, esdb.ErrorCodeResourceNotFound)
	_, err = f.tryAppend("s", esdb.StreamExists{}, events(1)...)
	f.wantCode(err, esdb.ErrorCodeStreamDeleted)
	if got := len(f.readAll(esdb.ReadAllOptions{})); got != 4 {
		t.Errorf("$all holds %d events, want the 3 and the metadata", got)
	}
}

func TestNumberingGoesOnAfterASoftDelete(t *testing.T) {
	expectations := map[string]esdb.ExpectedRevision{"any": esdb.Any{}, "no stream": esdb.NoStream{}, "the old revision": esdb.Revision(2)}
	for name, expected := range expectations {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.append("s", events(3)...)
			f.softDelete("s")
			written, err := f.tryAppend("s", expected, events(2)...)
			f.must(err)
			if written.NextExpectedVersion != 4 {
				t.Errorf("the stream ends at %d, want 4", written.NextExpectedVersion)
			}
			if diff := cmp.Diff([]uint64{3, 4}, f.revisions("s")); diff != "" {
				t.Errorf("revisions (-want +got):\n%s", diff)
			}
			if tb := f.metadata("s").TruncateBefore(); tb == nil || *tb != 3 {
				t.Errorf("the stream is truncated before %v, want 3", tb)
			}
		})
	}
}

func TestMetadataBringsASoftlyDeletedStreamBackEmpty(t *testing.T) {
	f := newFixture(t)
	f.append("s", events(3)...)
	f.softDelete("s")
	f.setMetadata("s", func(m *esdb.StreamMetadata) { m.SetMaxCount(9); m.AddCustomProperty("owner", "sales") })
	if got := f.revisions("s"); len(got) > 0 {
		t.Errorf("revisions %v came back", got)
	}
	got := f.metadata("s")
	if got.TruncateBefore() == nil || *got.TruncateBefore() != 3 || got.MaxCount() == nil || *got.MaxCount() != 9 || got.CustomProperty("owner") != "sales" {
		t.Errorf("metadata is %+v, want what was written and a truncation before 3", got)
	}
}

func TestTombstone(t *testing.T) {
	f := newFixture(t)
	f.append("s", events(3)...)
	f.tombstone("s")
	_, err := f.tryRead("s", esdb.ReadStreamOptions{})
	f.wantCode(err, esdb.ErrorCodeStreamDeleted)
	_, err = f.tryRead("$$s", esdb.ReadStreamOptions{})
	f.wantCode(err, esdb.ErrorCodeStreamDeleted)
	for _, expected := range []esdb.ExpectedRevision{esdb.Any{}, esdb.NoStream{}, esdb.StreamExists{}, esdb.Revision(2)} {
		_, err = f.tryAppend("s", expected, events(1)...)
		f.wantCode(err, esdb.ErrorCodeStreamDeleted)
	}
	_, err = f.tryAppend("$$s", esdb.Any{}, events(1)...)
	f.wantCode(err, esdb.ErrorCodeStreamDeleted)
	_, err = f.client.DeleteStream(f.ctx, "s", esdb.DeleteStreamOptions{ExpectedRevision: esdb.Any{}})
	f.wantCode(err, esdb.ErrorCodeStreamDeleted)
	all := f.readAll(esdb.ReadAllOptions{})
	if last := all[len(all)-1].Event; last.EventType != "$streamDeleted" || last.StreamID != "s" || last.EventNumber != 1<<63-1 {
		t.Errorf("$all ends with %s at %d@%s", last.EventType, last.EventNumber, last.StreamID)
	}
}

func TestDeletionsHoldToTheExpectedRevision(t *testing.T) {
	deletions := map[string]func(*fixture, string, esdb.ExpectedRevision) error{
		"soft": func(f *fixture, stream string, expected esdb.ExpectedRevision) error {
			_, err := f.client.DeleteStream(f.ctx, stream, esdb.DeleteStreamOptions{ExpectedRevision: expected})
			return err
		},
		"hard": func(f *fixture, stream string, expected esdb.ExpectedRevision) error {
			_, err := f.client.TombstoneStream(f.ctx, stream, esdb.TombstoneStreamOptions{ExpectedRevision: expected})
			return err
		},
	}
	for name, deletion := range deletions {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.append("s", events(2)...)
			for _, wrong := range []esdb.ExpectedRevision{esdb.NoStream{}, esdb.Revision(0), esdb.Revision(5)} {
				if err := deletion(f, "s", wrong); err == nil || !strings.Contains(err.Error(), "expected revision") {
					t.Errorf("expecting %v failed with %v", wrong, err)
				}
			}
			if got := len(f.revisions("s")); got != 2 {
				t.Fatalf("a refused deletion left %d events", got)
			}
			f.must(deletion(f, "s", esdb.Revision(1)))
			f.must(deletion(f, "never written", esdb.NoStream{}))
		})
	}
}
