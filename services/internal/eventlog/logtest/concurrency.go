package logtest

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

const (
	writers = 8
	rounds  = 15
)

var concurrencyTales = []tale{
	{"of many writers who expect one revision, one wins", func(f *fixture) {
		stream := f.stream("contact")
		f.append(stream, f.typed("Started"))
		var group errgroup.Group
		won := make(chan uint64, writers*rounds)
		for range writers {
			group.Go(func() error { return f.race(stream, won) })
		}
		if err := group.Wait(); err != nil {
			f.Fatal(err)
		}
		close(won)
		wins := map[uint64]int{0: 1}
		for revision := range won {
			wins[revision]++
		}
		events := f.whole(stream)
		wantIncreasing(f, events)
		if len(events) != rounds+1 || len(wins) != rounds+1 {
			f.Errorf("%d events of %d revisions, want %d", len(events), len(wins), rounds+1)
		}
		for revision, n := range wins {
			if n != 1 {
				f.Errorf("revision %d was won %d times", revision, n)
			}
		}
	}},
	{"all subscribers see what many writers write in one order", func(f *fixture) {
		first := f.followAll(eventlog.AllOptions{Filter: f.everything()})
		second := f.followAll(eventlog.AllOptions{Filter: f.everything()})
		f.writeAtOnce()
		var orders [2][]eventlog.Event
		for i, s := range []*follower{first, second} {
			for range writers * rounds {
				orders[i] = append(orders[i], s.nextEvent().Event)
			}
		}
		wantIncreasing(f, orders[0])
		f.wantEvents(orders[1], orders[0])
		f.wantEvents(f.mine(f.log.ReadAll(f.ctx, eventlog.Forward, &orders[0][0].Position, 0)), orders[0])
	}},
}

// race tries, until the stream has rounds events more, to write each next
// revision; the revisions that it wins go to won.
func (f *fixture) race(stream string, won chan<- uint64) error {
	for last := uint64(0); last < rounds; last++ {
		appended, err := f.log.Append(f.ctx, stream, eventlog.At(last), f.typed("Raced"))
		switch {
		case err == nil:
			won <- appended.Revision
		case !errors.Is(err, eventlog.ErrWrongRevision):
			return fmt.Errorf("write revision %d: %w", last+1, err)
		}
	}
	return nil
}

// writeAtOnce lets writers write rounds events each, each to a stream of its own.
func (f *fixture) writeAtOnce() {
	f.Helper()
	var group errgroup.Group
	var start sync.WaitGroup
	start.Add(1)
	for writer := range writers {
		group.Go(func() error {
			start.Wait()
			stream := fmt.Sprintf("%s-%d", f.stream("contact"), writer)
			for range rounds {
				if _, err := f.log.Append(f.ctx, stream, eventlog.Any, f.typed("Written")); err != nil {
					return err
				}
			}
			return nil
		})
	}
	start.Done()
	if err := group.Wait(); err != nil {
		f.Fatal(err)
	}
}
