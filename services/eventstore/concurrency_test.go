package eventstore_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

const writers = 64

// clients are few, as in a service: writers share them.
func (f *fixture) clients(n int) []*esdb.Client {
	clients := make([]*esdb.Client, n)
	for i := range clients {
		clients[i] = f.store.Client(f.T)
	}
	return clients
}

func TestManyWritersOneStreamEach(t *testing.T) {
	const each = 10
	f := newFixture(t)
	clients := f.clients(4)
	w := f.followAll(esdb.SubscribeToAllOptions{From: esdb.Start{}})
	ids := make([][]uuid.UUID, writers)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			var expected esdb.ExpectedRevision = esdb.NoStream{}
			for range each {
				batch := events(1 + i%3)
				written, err := clients[i%4].AppendToStream(f.ctx, fmt.Sprintf("s%d", i), esdb.AppendToStreamOptions{ExpectedRevision: expected}, batch...)
				if err != nil {
					t.Error(err)
					return
				}
				ids[i] = append(ids[i], idsSent(batch)...)
				expected = esdb.Revision(written.NextExpectedVersion)
			}
		})
	}
	group.Wait()
	total := 0
	for i := range writers {
		if diff := cmp.Diff(ids[i], idsOf(f.read(fmt.Sprintf("s%d", i), esdb.ReadStreamOptions{}))); diff != "" {
			t.Errorf("stream %d (-written +read):\n%s", i, diff)
		}
		total += len(ids[i])
	}
	all := f.readAll(esdb.ReadAllOptions{})
	if diff := cmp.Diff(idsOf(all), idsOf(w.events(total))); diff != "" {
		t.Errorf("the subscription differs from $all (-all +subscription):\n%s", diff)
	}
	if len(all) != total {
		t.Errorf("$all holds %d events, %d were written", len(all), total)
	}
}

// Of the writers who expect one revision exactly one gets it, each time.
func TestManyWritersOnOneStream(t *testing.T) {
	const rounds = 10
	f := newFixture(t)
	clients := f.clients(4)
	var expected esdb.ExpectedRevision = esdb.NoStream{}
	for round := range rounds {
		var (
			group sync.WaitGroup
			mu    sync.Mutex
			won   []uuid.UUID
		)
		for i := range writers {
			group.Go(func() {
				event := events(1)[0]
				_, err := clients[i%4].AppendToStream(f.ctx, "s", esdb.AppendToStreamOptions{ExpectedRevision: expected}, event)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won = append(won, event.EventID)
				case codeOf(err) != esdb.ErrorCodeWrongExpectedVersion:
					t.Errorf("failed with %v, want a wrong version", err)
				}
			})
		}
		group.Wait()
		if len(won) != 1 {
			t.Fatalf("round %d: %d writers got the revision, want 1", round, len(won))
		}
		last := f.read("s", esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}})[0].Event
		if last.EventID != won[0] || last.EventNumber != uint64(round) {
			t.Fatalf("round %d: event %d is %v, the one that was acknowledged %v", round, last.EventNumber, last.EventID, won[0])
		}
		expected = esdb.Revision(last.EventNumber)
	}
}

// What a reader sees is durable, and so is everything before it: as soon as a
// writer is answered, everybody sees the event, and until then it is seen all
// or not at all.
func TestAnAppendIsSeenWholeAndAtOnce(t *testing.T) {
	const appends, size = 30, 7
	f := newFixture(t)
	done := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			got, err := f.tryRead("s", esdb.ReadStreamOptions{})
			if err != nil && codeOf(err) != esdb.ErrorCodeResourceNotFound {
				t.Error(err)
				return
			}
			if len(got)%size != 0 {
				t.Errorf("a reader saw %d events: a part of an append", len(got))
				return
			}
		}
	})
	for i := range appends {
		f.append("s", events(size)...)
		if got := len(f.revisions("s")); got != (i+1)*size {
			t.Errorf("after append %d a reader sees %d events", i, got)
		}
	}
	close(done)
	reader.Wait()
}
