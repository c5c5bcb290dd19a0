package eventstore_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
)

const (
	stalled = 20
	// stalledAtMost is what the store may hold for each: a page, which ends with
	// the event that fills it up, and what the transport has taken of it: two
	// messages or so. (Their buffers are of 1 MiB above 32 KiB.) It is a small
	// part of what is written.
	stalledAtMost = 2 << 20

	batches, batchEvents, eventBytes = 8, 32, 30 << 10
	written                          = batches * batchEvents
)

// heap is how many bytes are in use, once what is not was collected.
func heap() int {
	runtime.GC()
	runtime.GC() // what pools hold goes with the second one
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// writeMuch writes what is many times larger than what a reader may hold.
func (f *fixture) writeMuch() {
	f.Helper()
	for range batches {
		batch := events(batchEvents)
		for i := range batch {
			batch[i].Data = make([]byte, eventBytes)
		}
		f.append("s", batch...)
	}
}

// eventually waits until something holds.
func (f *fixture) eventually(holds func() bool, otherwise func() string) {
	f.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-f.ctx.Done():
			f.Fatal(otherwise())
		}
	}
}

// window keeps the client's own buffers small: it runs in the same process,
// and what it holds is not the store's.
var window = grpc.WithInitialWindowSize(64 << 10)

// Some readers take nothing, beside others that receive everything, on the
// same connection and on one of their own.
func TestStalledReadersHoldNoOneUpAndLittleMemory(t *testing.T) {
	asMuchAsThereIs := &streams.ReadReq_Options_Count{Count: 1 << 63}
	cases := map[string]*streams.ReadReq{
		"subscribed to $all":              readOf(live),
		"subscribed to a stream":          readOf(func(o *streams.ReadReq_Options) { live(o); ofStream(o, "s") }),
		"reading as much as there is":     readOf(func(o *streams.ReadReq_Options) { o.CountOption = asMuchAsThereIs }),
		"reading backwards, however much": readOf(func(o *streams.ReadReq_Options) { fromTheEnd(o); o.CountOption = asMuchAsThereIs }),
	}
	for name, request := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, eventstoretest.OnDisk())
			f.writeMuch() // so that reads find something
			conn := f.raw(window)
			receiving := []<-chan error{f.receiveAll(conn, 2*written), f.receiveAll(f.raw(window), 2*written)}
			goroutines := runtime.NumGoroutine()
			free := func() {
				t.Helper()
				f.eventually(func() bool { return runtime.NumGoroutine() <= goroutines },
					func() string { return fmt.Sprintf("%d goroutines are left", runtime.NumGoroutine()-goroutines) })
			}

			stop := f.stall(conn, request)
			f.writeMuch()
			for _, done := range receiving {
				f.must(<-done)
			}
			with := heap()
			stop()
			free()
			without := heap()
			t.Logf("%d stalled readers held %d KiB each; %d MiB were written", stalled, (with-without)/stalled>>10, 2*written*eventBytes>>20)
			if held := with - without; held > stalled*stalledAtMost {
				t.Errorf("%d stalled readers held %d bytes, want %d at most", stalled, held, stalled*stalledAtMost)
			}

			f.stall(conn, request)() // once more: does it leave something?
			free()
			if left := heap() - without; left > 2*stalledAtMost {
				t.Errorf("%d stalled readers left %d bytes", stalled, left)
			}
		})
	}
}

// stall opens calls of which nothing is received but the first message.
func (f *fixture) stall(conn *grpc.ClientConn, request *streams.ReadReq) (stop func()) {
	f.Helper()
	ctx, stop := context.WithCancel(f.ctx)
	f.Cleanup(stop)
	for range stalled {
		call, err := streams.NewStreamsClient(conn).Read(ctx, request)
		f.must(err)
		_, err = call.Recv()
		f.must(err)
	}
	return stop
}

// receiveAll subscribes to $all and tells when n events were received.
func (f *fixture) receiveAll(conn *grpc.ClientConn, n int) (done <-chan error) {
	f.Helper()
	call, err := streams.NewStreamsClient(conn).Read(f.ctx, readOf(live))
	f.must(err)
	_, err = call.Recv()
	f.must(err)
	ended := make(chan error, 1)
	go func() {
		for received := 0; received < n; {
			message, err := call.Recv()
			if err != nil {
				ended <- fmt.Errorf("after %d events: %w", received, err)
				return
			}
			if message.GetEvent() != nil {
				received++
			}
		}
		ended <- nil
	}()
	return ended
}

func fromTheEnd(options *streams.ReadReq_Options) {
	options.ReadDirection = streams.ReadReq_Options_Backwards
	options.GetAll().AllOption = &streams.ReadReq_Options_AllOptions_End{End: empty}
}
