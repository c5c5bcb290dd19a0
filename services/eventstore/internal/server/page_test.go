package server

import (
	"bytes"
	"errors"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
)

func put(p *page, event storage.Event) {
	record := event.Record()
	p.end(appendEvent(p.bytes(), structured, &record, nil, event.Position))
}

func eventOf(position uint64, size int) storage.Event {
	data := bytes.Repeat([]byte{byte(position)}, size)
	return storage.Event{NewEvent: storage.NewEvent{Type: "t", Data: data}, Stream: "s", Position: position}
}

func TestAPageIsFull(t *testing.T) {
	tests := map[string]struct {
		size, want int
	}{
		"by its messages":               {size: 10, want: pageMessages},
		"by its bytes":                  {size: pageBytes / 4, want: 4},
		"by one event of more than all": {size: 2 * pageBytes, want: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var p page
			got := 0
			for ; !p.full(); got++ {
				put(&p, eventOf(1, tc.size))
			}
			if got != tc.want {
				t.Errorf("after %d events, not %d", got, tc.want)
			}
			if p.considered = 0; p.flush(func(any) error { return nil }) != nil || p.full() {
				t.Error("it is full after it was sent")
			}
		})
	}
	if p := (page{considered: pageConsidered}); !p.full() {
		t.Error("a page goes on although none of so many events was chosen")
	}
}

// TestWhatWasSentStaysAsItWas holds on to messages as grpc does until it has
// written them, while later pages are filled in the memory of earlier ones.
func TestWhatWasSentStaysAsItWas(t *testing.T) {
	const pages, events, inFlight = 20, 30, 100
	var p page
	sent, unwritten := uint64(0), []func(){}
	write := func() { unwritten[0](); unwritten = unwritten[1:] }
	grpc := func(message any) error {
		data, err := newCodec().Marshal(message)
		position, isEvent := sent/2, sent%2 == 0
		sent++
		unwritten = append(unwritten, func() {
			checkSent(t, data.Materialize(), position, isEvent)
			data.Free()
		})
		if len(unwritten) > inFlight {
			write()
		}
		return err
	}
	for position := range uint64(pages * events) {
		put(&p, eventOf(position, int(position)))
		p.add(checkpoint(position))
		if (position+1)%events == 0 {
			if err := p.flush(grpc); err != nil {
				t.Fatal(err)
			}
		}
	}
	for len(unwritten) > 0 {
		write()
	}
	if sent != 2*pages*events {
		t.Errorf("%d messages were sent", sent)
	}
}

func checkSent(t *testing.T, b []byte, position uint64, isEvent bool) {
	t.Helper()
	var message streams.ReadResp
	if err := proto.Unmarshal(b, &message); err != nil {
		t.Fatal(err)
	}
	event := message.GetEvent().GetEvent()
	switch {
	case !isEvent && message.GetCheckpoint().GetCommitPosition() != position:
		t.Errorf("instead of the checkpoint at %d came %v", position, &message)
	case isEvent && (event.GetCommitPosition() != position || !bytes.Equal(event.GetData(), eventOf(position, int(position)).Data)):
		t.Errorf("the event at %d was overwritten", position)
	}
}

func TestAPageThatIsNotSentSaysWhy(t *testing.T) {
	gone := errors.New("the reader is gone")
	var p page
	for position := range uint64(3) {
		put(&p, eventOf(position, 10))
	}
	sent := 0
	err := p.flush(func(any) error {
		if sent++; sent == 2 {
			return gone
		}
		return nil
	})
	if !errors.Is(err, gone) || sent != 2 {
		t.Errorf("%v after %d messages", err, sent)
	}
}

func TestAPageThatCannotBeEncodedIsNotSent(t *testing.T) {
	var p page
	p.add(&streams.ReadResp{Content: &streams.ReadResp_Confirmation{
		Confirmation: &streams.ReadResp_SubscriptionConfirmation{SubscriptionId: "\xff"},
	}})
	p.add(caughtUp)
	if err := p.flush(func(any) error { t.Error("it was sent"); return nil }); err == nil {
		t.Error("nothing is said of it")
	}
}

func TestThePoolKeepsNoHugeArena(t *testing.T) {
	var pool arenaPool
	for range 10 { // a pool may lose what it is given, but not all of it
		huge := make([]byte, 0, maxArena+1)
		pool.Put(&huge)
		if got := pool.Get(0); cap(*got) > maxArena {
			t.Fatalf("an arena of %d bytes was kept", cap(*got))
		}
	}
	if got := pool.Get(2 * minArena); len(*got) != 2*minArena {
		t.Errorf("%d bytes were given for %d", len(*got), 2*minArena)
	}
}

func TestOtherMessagesGoThroughGRPCsCodec(t *testing.T) {
	c := newCodec()
	data, err := c.Marshal(caughtUp)
	if err != nil {
		t.Fatal(err)
	}
	var got streams.ReadResp
	if err := c.Unmarshal(data, &got); err != nil || !proto.Equal(&got, caughtUp) {
		t.Errorf("got %v, %v", &got, err)
	}
	if _, err := c.Marshal("text"); err == nil {
		t.Error("a text was taken for a message")
	}
	if c.Name() != "proto" {
		t.Errorf("the codec is called %q", c.Name())
	}
}
