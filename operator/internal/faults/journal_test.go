package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
)

// word is an event about the flow, as whoever looks at the store sees it.
type word struct {
	kind   string // such as CadenceRequested
	stream string
	says   map[string]any
}

func (e word) String() string {
	if epoch, ok := e.says["epoch"]; ok {
		return fmt.Sprintf("%s of epoch %v", e.kind, epoch)
	}
	return e.kind
}

// journal is what is said of the flow, in the order of the store. It looks past the
// links.
type journal struct {
	mu    sync.Mutex
	words []word
	heard chan struct{} // closed, and replaced, with each word
}

func (w *world) keepJournal() *journal {
	w.Helper()
	j := &journal{heard: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	sub, err := w.store.Client(w.T).SubscribeToAll(ctx, esdb.SubscribeToAllOptions{
		From:   esdb.Start{},
		Filter: &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{"flow-" + flow, "shadow-" + flow, "operator"}},
	})
	if err != nil {
		cancel()
		w.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			e := sub.Recv()
			if e.SubscriptionDropped != nil {
				return
			}
			if e.EventAppeared != nil {
				j.note(e.EventAppeared.OriginalEvent())
			}
		}
	}()
	w.Cleanup(func() {
		_ = sub.Close()
		cancel()
		<-ended
	})
	return j
}

func (j *journal) note(e *esdb.RecordedEvent) {
	one := word{kind: strings.TrimPrefix(e.EventType, "flow."), stream: e.StreamID}
	_ = json.Unmarshal(e.Data, &one.says) // one that says nothing is one of no epoch
	j.mu.Lock()
	defer j.mu.Unlock()
	j.words = append(j.words, one)
	close(j.heard)
	j.heard = make(chan struct{})
}

// look returns what was said, and what is closed when more is.
func (j *journal) look() ([]word, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.words[:len(j.words):len(j.words)], j.heard
}

// of are the words of a kind.
func (j *journal) of(kind string) (some []word) {
	words, _ := j.look()
	for _, one := range words {
		if one.kind == kind {
			some = append(some, one)
		}
	}
	return some
}

// epochs are those that the words of a kind name.
func (j *journal) epochs(kind string) (all []string) {
	for _, one := range j.of(kind) {
		all = append(all, fmt.Sprint(one.says["epoch"]))
	}
	return all
}

// count is how many words there are on the flow's own streams.
func (j *journal) count() (n int) {
	words, _ := j.look()
	for _, one := range words {
		if one.stream == "flow-"+flow {
			n++
		}
	}
	return n
}

// instances are the replicas of the operator that have watched, in order.
func (j *journal) instances() (all []string) {
	for _, one := range j.of("MigrationsWatched") {
		name := fmt.Sprint(one.says["instance"])
		if len(all) == 0 || all[len(all)-1] != name {
			all = append(all, name)
		}
	}
	return all
}
