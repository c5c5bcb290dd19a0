package eventstore_test

import (
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
)

func TestAppendKeepsAllOfAnEvent(t *testing.T) {
	f := newFixture(t)
	sent := []esdb.EventData{
		{EventID: uuid.New(), EventType: "a.Json", ContentType: esdb.ContentTypeJson, Data: []byte(`{"a":1}`), Metadata: []byte(`{"b":2}`)},
		{EventID: uuid.New(), EventType: "a.Binary", ContentType: esdb.ContentTypeBinary, Data: []byte{0, 1, 255}},
		{EventID: uuid.New(), EventType: "a.Empty", ContentType: esdb.ContentTypeJson},
	}
	written := f.append("s-ü", sent...)
	if written.NextExpectedVersion != 2 {
		t.Errorf("the stream ends at %d, want 2", written.NextExpectedVersion)
	}
	got := f.read("s-ü", esdb.ReadStreamOptions{})
	if len(got) != len(sent) {
		t.Fatalf("read %d events, appended %d", len(got), len(sent))
	}
	for i, g := range got {
		e, want := g.Event, sent[i]
		contentType := map[esdb.ContentType]string{esdb.ContentTypeJson: "application/json", esdb.ContentTypeBinary: "application/octet-stream"}[want.ContentType]
		if e.EventID != want.EventID || e.EventType != want.EventType || e.ContentType != contentType || e.StreamID != "s-ü" ||
			e.EventNumber != uint64(i) || string(e.Data) != string(want.Data) || string(e.UserMetadata) != string(want.Metadata) {
			t.Errorf("event %d is %+v, appended was %+v", i, e, want)
		}
		if e.CreatedDate.IsZero() || e.Position.Commit == 0 || e.Position.Commit != e.Position.Prepare {
			t.Errorf("event %d has time %v and position %v", i, e.CreatedDate, e.Position)
		}
	}
	if last := got[2].Event.Position; last.Commit != written.CommitPosition || last.Prepare != written.PreparePosition {
		t.Errorf("the append ended at %d/%d, its last event is at %v", written.CommitPosition, written.PreparePosition, last)
	}
}

func TestAppendHoldsToTheExpectedRevision(t *testing.T) {
	type step struct {
		expected esdb.ExpectedRevision
		wrong    string // what the client says, if the append is refused
	}
	cases := map[string]struct {
		before int
		step
	}{
		"no stream, none there":     {0, step{esdb.NoStream{}, ""}},
		"no stream, one there":      {2, step{esdb.NoStream{}, "expecting 'no_stream' but got '1'"}},
		"exists, none there":        {0, step{esdb.StreamExists{}, "expecting 'stream_exists' but got 'no_stream'"}},
		"exists, one there":         {1, step{esdb.StreamExists{}, ""}},
		"any, none there":           {0, step{esdb.Any{}, ""}},
		"any, one there":            {3, step{esdb.Any{}, ""}},
		"the revision":              {3, step{esdb.Revision(2), ""}},
		"a revision below":          {3, step{esdb.Revision(0), "expecting '0' but got '2'"}},
		"a revision above":          {3, step{esdb.Revision(7), "expecting '7' but got '2'"}},
		"a revision of what is not": {0, step{esdb.Revision(0), "expecting '0' but got 'no_stream'"}},
	}
	f := newFixture(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			stream := uuid.NewString()
			if tc.before > 0 {
				f.append(stream, events(tc.before)...)
			}
			written, err := f.tryAppend(stream, tc.expected, events(2)...)
			if tc.wrong == "" {
				if err != nil || written.NextExpectedVersion != uint64(tc.before+1) {
					t.Fatalf("appended up to %+v (%v), want %d", written, err, tc.before+1)
				}
				return
			}
			if codeOf(err) != esdb.ErrorCodeWrongExpectedVersion || !strings.Contains(err.Error(), tc.wrong) {
				t.Fatalf("failed with %v, want %q", err, tc.wrong)
			}
			if tc.before > 0 && len(f.revisions(stream)) != tc.before {
				t.Error("a refused append was written")
			}
		})
	}
}

func TestARetryGetsTheFirstAnswer(t *testing.T) {
	expectations := map[string]esdb.ExpectedRevision{"any": esdb.Any{}, "exists": esdb.StreamExists{}, "revision": esdb.Revision(0)}
	f := newFixture(t)
	for name, expected := range expectations {
		t.Run(name, func(t *testing.T) {
			stream, batch := uuid.NewString(), events(3)
			f.append(stream, events(1)...)
			first, err := f.tryAppend(stream, expected, batch...)
			f.must(err)
			f.append(stream, events(1)...) // the stream has moved on
			again, err := f.tryAppend(stream, expected, batch...)
			f.must(err)
			if diff := cmp.Diff(first, again); diff != "" {
				t.Errorf("the retry was answered otherwise (-first +again):\n%s", diff)
			}
			if got := len(f.revisions(stream)); got != 5 {
				t.Errorf("the stream has %d events, want 5", got)
			}
		})
	}
}

func TestAPartOfARetryIsWrong(t *testing.T) {
	f := newFixture(t)
	batch := events(2)
	f.append("s", batch...)
	_, err := f.tryAppend("s", esdb.Any{}, batch[0], events(1)[0])
	f.wantCode(err, esdb.ErrorCodeWrongExpectedVersion)
}

func TestIDsAreNotComparedAcrossStreams(t *testing.T) {
	f := newFixture(t)
	batch := events(2)
	f.append("a", batch...)
	f.append("b", batch...)
	if diff := cmp.Diff(f.revisions("a"), f.revisions("b")); diff != "" {
		t.Errorf("the streams differ (-a +b):\n%s", diff)
	}
}

func TestWhatARetryIsWithoutTheIDCache(t *testing.T) {
	forgetful := func(f *fixture) {}
	restarted := (*fixture).restart
	cases := map[string]struct {
		options []eventstoretest.Option
		between func(*fixture)
	}{
		"the cache is off": {[]eventstoretest.Option{eventstoretest.WithoutIDCache()}, forgetful},
		"after a restart":  {nil, restarted},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, tc.options...)
			batch := events(2)
			f.append("any", batch...)
			_, err := f.tryAppend("revised", esdb.NoStream{}, batch...)
			f.must(err)
			tc.between(f)
			f.append("any", batch...)
			if got := len(f.revisions("any")); got != 4 {
				t.Errorf("without an expected revision: %d events, want the retry written again: 4", got)
			}
			written, err := f.tryAppend("revised", esdb.NoStream{}, batch...)
			f.must(err)
			if got := len(f.revisions("revised")); got != 2 || written.NextExpectedVersion != 1 {
				t.Errorf("with an expected revision: %d events up to %d, want the retry recognised", got, written.NextExpectedVersion)
			}
		})
	}
}

func TestAppendOfNothing(t *testing.T) {
	f := newFixture(t)
	_, err := f.tryAppend("s", esdb.NoStream{})
	f.must(err)
	if _, err := f.tryRead("s", esdb.ReadStreamOptions{}); codeOf(err) != esdb.ErrorCodeResourceNotFound {
		t.Errorf("reading failed with %v, want that there is no stream", err)
	}
	f.append("s", events(2)...)
	written, err := f.tryAppend("s", esdb.Revision(1))
	f.must(err)
	if written.NextExpectedVersion != 1 {
		t.Errorf("the stream ends at %d, want 1", written.NextExpectedVersion)
	}
	_, err = f.tryAppend("s", esdb.Revision(0))
	f.wantCode(err, esdb.ErrorCodeWrongExpectedVersion)
}

func TestAppendOfTooMuch(t *testing.T) {
	const limit = 1 << 20
	sized := func(bytes ...int) (batch []esdb.EventData) {
		for _, n := range bytes {
			e := events(1)[0]
			e.EventType, e.Metadata, e.Data = "t", nil, make([]byte, n-1)
			batch = append(batch, e)
		}
		return batch
	}
	cases := map[string]struct {
		batch []esdb.EventData
		fits  bool
	}{
		"one event at the limit":  {sized(limit), true},
		"one event above":         {sized(limit + 1), false},
		"many events at limit":    {sized(limit/2, limit/2), true},
		"many events above":       {sized(limit/2, limit/2, 1), false},
		"much more than is taken": {sized(8*limit, 8*limit), false},
	}
	f := newFixture(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			stream := uuid.NewString()
			_, err := f.tryAppend(stream, esdb.NoStream{}, tc.batch...)
			switch {
			case tc.fits && err != nil:
				t.Fatal(err)
			case !tc.fits && (err == nil || !strings.Contains(err.Error(), "Maximum Append Size of 1048576 Exceeded")):
				t.Fatalf("failed with %v, want that it is too large", err)
			case !tc.fits:
				if _, err := f.tryRead(stream, esdb.ReadStreamOptions{}); codeOf(err) != esdb.ErrorCodeResourceNotFound {
					t.Errorf("a refused append left something: %v", err)
				}
			}
		})
	}
}
