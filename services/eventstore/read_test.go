package eventstore_test

import (
	"fmt"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// reverse returns a turned copy.
func reverse[T any](items []T) []T {
	turned := make([]T, 0, len(items))
	for i := len(items) - 1; i >= 0; i-- {
		turned = append(turned, items[i])
	}
	return turned
}

func TestReadStreamBothWays(t *testing.T) {
	f := newFixture(t)
	f.append("other", events(3)...)
	sent := events(1200) // more than two pages
	for i := 0; i < len(sent); i += 400 {
		f.append("s", sent[i:i+400]...)
	}
	ids := idsSent(sent)
	cases := map[string]struct {
		direction esdb.Direction
		from      esdb.StreamPosition
		count     uint64
		want      []uuid.UUID
	}{
		"forward from the start":       {esdb.Forwards, esdb.Start{}, 5000, ids},
		"forward, some":                {esdb.Forwards, esdb.Start{}, 3, ids[:3]},
		"forward, a page and one":      {esdb.Forwards, esdb.Start{}, 513, ids[:513]},
		"forward, none":                {esdb.Forwards, esdb.Start{}, 0, nil},
		"forward from a revision":      {esdb.Forwards, esdb.Revision(7), 2, ids[7:9]},
		"forward from the end":         {esdb.Forwards, esdb.End{}, 10, nil},
		"forward from beyond":          {esdb.Forwards, esdb.Revision(5000), 10, nil},
		"backward from the end":        {esdb.Backwards, esdb.End{}, 5000, reverse(ids)},
		"backward, some":               {esdb.Backwards, esdb.End{}, 2, reverse(ids[1198:])},
		"backward from a revision":     {esdb.Backwards, esdb.Revision(7), 3, reverse(ids[5:8])},
		"backward to the start":        {esdb.Backwards, esdb.Revision(1), 10, reverse(ids[:2])},
		"backward from the start":      {esdb.Backwards, esdb.Start{}, 10, ids[:1]},
		"backward from beyond the end": {esdb.Backwards, esdb.Revision(5000), 1, ids[1199:]},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := received(f.client.ReadStream(f.ctx, "s", esdb.ReadStreamOptions{Direction: tc.direction, From: tc.from}, tc.count))
			f.must(err)
			if diff := cmp.Diff(tc.want, idsOf(got)); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadOfWhatIsNotThere(t *testing.T) {
	f := newFixture(t)
	_, err := f.tryRead("s", esdb.ReadStreamOptions{})
	f.wantCode(err, esdb.ErrorCodeResourceNotFound)
	_, err = f.tryRead("s", esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}})
	f.wantCode(err, esdb.ErrorCodeResourceNotFound)
	if got := f.readAll(esdb.ReadAllOptions{}); len(got) > 0 {
		t.Errorf("an empty store holds %d events", len(got))
	}
	if got := f.readAll(esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.End{}}); len(got) > 0 {
		t.Errorf("an empty store holds %d events", len(got))
	}
}

func TestReadAllBothWays(t *testing.T) {
	f := newFixture(t)
	var ids []uuid.UUID
	for i := range 60 {
		batch := events(1 + i%20)
		f.append(fmt.Sprintf("s%d", i%7), batch...)
		ids = append(ids, idsSent(batch)...)
	}
	all := f.readAll(esdb.ReadAllOptions{})
	if diff := cmp.Diff(ids, idsOf(all)); diff != "" {
		t.Fatalf("$all (-appended +read):\n%s", diff)
	}
	for i := 1; i < len(all); i++ {
		if all[i].Event.Position.Commit <= all[i-1].Event.Position.Commit {
			t.Fatalf("position %v follows %v", all[i].Event.Position, all[i-1].Event.Position)
		}
	}
	n := len(ids)
	at := func(i int) esdb.Position { return all[i].Event.Position }
	cases := map[string]struct {
		direction esdb.Direction
		from      esdb.AllPosition
		count     uint64
		want      []uuid.UUID
	}{
		"forward, some":                     {esdb.Forwards, esdb.Start{}, 4, ids[:4]},
		"forward from an event, inclusive":  {esdb.Forwards, at(10), 3, ids[10:13]},
		"forward from the end":              {esdb.Forwards, esdb.End{}, 3, nil},
		"backward from the end":             {esdb.Backwards, esdb.End{}, 5000, reverse(ids)},
		"backward, some":                    {esdb.Backwards, esdb.End{}, 3, reverse(ids[n-3:])},
		"backward from an event, exclusive": {esdb.Backwards, at(10), 3, reverse(ids[7:10])},
		"backward from the first event":     {esdb.Backwards, at(0), 3, nil},
		"backward from the start":           {esdb.Backwards, esdb.Start{}, 3, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := received(f.client.ReadAll(f.ctx, esdb.ReadAllOptions{Direction: tc.direction, From: tc.from}, tc.count))
			f.must(err)
			if diff := cmp.Diff(tc.want, idsOf(got)); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStreamReadsCarryPositions(t *testing.T) {
	f := newFixture(t)
	written := f.append("s", events(1)...)
	got := f.read("s", esdb.ReadStreamOptions{})[0]
	if got.Event.Position.Commit != written.CommitPosition || got.Commit == nil || *got.Commit != written.CommitPosition {
		t.Errorf("position %v, commit %v, want %d", got.Event.Position, got.Commit, written.CommitPosition)
	}
}

func TestLinksAreResolved(t *testing.T) {
	f := newFixture(t)
	target := events(2)
	f.append("with@sign", target...)
	f.append("hidden", events(3)...)
	f.setMetadata("hidden", func(m *esdb.StreamMetadata) { m.SetTruncateBefore(2) })
	f.append("gone", events(1)...)
	_, err := f.client.TombstoneStream(f.ctx, "gone", esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}})
	f.must(err)
	f.append("soft", events(1)...)
	_, err = f.client.DeleteStream(f.ctx, "soft", esdb.DeleteStreamOptions{ExpectedRevision: esdb.Any{}})
	f.must(err)
	link := func(to string) esdb.EventData {
		e := typed("$>")
		e.Data = []byte(to)
		return e
	}
	targets := []string{"1@with@sign", "9@with@sign", "0@nowhere", "0@gone", "0@soft", "0@hidden", "2@hidden", "nonsense", "-1@with@sign", "1@"}
	for _, to := range targets {
		f.append("links", link(to))
	}
	resolved := map[string]bool{"1@with@sign": true, "2@hidden": true}
	got := f.read("links", esdb.ReadStreamOptions{ResolveLinkTos: true})
	for i, e := range got {
		to := targets[i]
		if e.Link == nil || string(e.Link.Data) != to || e.OriginalEvent().EventNumber != uint64(i) {
			t.Errorf("link %q came as %+v", to, e.Link)
		}
		if (e.Event != nil) != resolved[to] {
			t.Errorf("link %q was resolved to %+v", to, e.Event)
		}
	}
	if e := got[0].Event; e.EventID != target[1].EventID || e.StreamID != "with@sign" || e.EventNumber != 1 {
		t.Errorf("the link stands for %d@%s", e.EventNumber, e.StreamID)
	}
	for _, e := range f.read("links", esdb.ReadStreamOptions{}) {
		if e.Link != nil || e.Event.EventType != "$>" {
			t.Error("a link was resolved that should be read as it is")
		}
	}
	w := f.follow(must(f.client.SubscribeToStream(f.ctx, "links", esdb.SubscribeToStreamOptions{From: esdb.Start{}, ResolveLinkTos: true})))
	if e := w.events(1)[0]; e.Link == nil || e.Event == nil || e.Event.EventID != target[1].EventID {
		t.Errorf("a subscription got %+v for a link", e)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
