package esdb_test

import (
	"context"
	"errors"
	"net"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
)

// wire is a line to the store that can be frozen: it still takes connections,
// but nothing passes, as with a store that hangs.
type wire struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu     sync.Mutex
	thaw   chan struct{} // closed while not frozen
	ends   []net.Conn
	broken bool
}

func newWire(t *testing.T, target string) *wire {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	flowing := make(chan struct{})
	close(flowing)
	w := &wire{listener: listener, target: target, thaw: flowing}
	w.running.Go(func() { w.accept(t.Context()) })
	t.Cleanup(w.cut)
	return w
}

func (w *wire) connectionString() string {
	return "esdb://" + w.listener.Addr().String() + "?tls=false"
}

func (w *wire) accept(ctx context.Context) {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		far, err := new(net.Dialer).DialContext(ctx, "tcp", w.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		w.mu.Lock()
		w.ends = append(w.ends, near, far)
		broken := w.broken
		w.mu.Unlock()
		if broken {
			_, _ = near.Close(), far.Close()
		}
		w.running.Go(func() { w.carry(near, far) })
		w.running.Go(func() { w.carry(far, near) })
	}
}

// carry copies until one side has gone, and stands still while frozen.
func (w *wire) carry(to, from net.Conn) {
	defer func() { _ = to.Close() }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		w.mu.Lock()
		thaw := w.thaw
		w.mu.Unlock()
		<-thaw
		if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
			return
		}
	}
}

func (w *wire) freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.thaw = make(chan struct{})
}

func (w *wire) melt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.thaw)
}

// cut ends the wire for good.
func (w *wire) cut() {
	_ = w.listener.Close()
	w.mu.Lock()
	w.broken = true
	for _, end := range w.ends {
		_ = end.Close()
	}
	select {
	case <-w.thaw:
	default:
		close(w.thaw)
	}
	w.mu.Unlock()
	w.running.Wait()
}

func TestCallsReturnInTimeWhileTheStoreIsFrozen(t *testing.T) {
	store := eventstoretest.Start(t)
	line := newWire(t, store.Addr())
	log := open(t, line.connectionString())
	stream := followStream(t, log, "contact-1") // not $all: what is sent into the ice arrives with the thaw
	written := mustAppend(t, log, "contact-1", 3)
	stream.wantExactly(written)
	line.freeze()
	wantUnavailable(t, log)
	line.melt()
	stream.wantExactly(append(written, mustAppend(t, log, "contact-1", 3)...))
}

func TestCallsReturnInTimeWhenTheStoreIsFrozenFromTheStart(t *testing.T) {
	store := eventstoretest.Start(t)
	line := newWire(t, store.Addr())
	line.freeze()
	log := open(t, line.connectionString())
	wantUnavailable(t, log)
	line.melt()
	mustAppend(t, log, "contact-1", 1)
}

func TestACallWithoutADeadlineWaitsNoLongerThanTheLogsPatience(t *testing.T) {
	store := eventstoretest.Start(t)
	store.Stop()
	log := open(t, store.ConnectionString(), esdb.WithPatience(50*time.Millisecond))
	ctx := context.Background()
	if _, err := log.Append(ctx, "contact-1", eventlog.Any, events(1)...); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("append: %v, want ErrUnavailable", err)
	}
	for _, err := range log.ReadStream(ctx, "contact-1", eventlog.Forward, 0, 0) {
		if !errors.Is(err, eventlog.ErrUnavailable) {
			t.Errorf("read: %v, want ErrUnavailable", err)
		}
	}
}

// TestAReadThatAnOutageBreaksSaysSo stops the store under a read that is larger
// than what is buffered on the way.
func TestAReadThatAnOutageBreaksSaysSo(t *testing.T) {
	store := eventstoretest.Start(t)
	log := open(t, store.ConnectionString())
	for range 10 {
		large := events(8)
		for i := range large {
			large[i].Data = []byte(`"` + strings.Repeat("x", 100_000) + `"`)
		}
		if _, err := log.Append(t.Context(), "contact-1", eventlog.Any, large...); err != nil {
			t.Fatal(err)
		}
	}
	var failure error
	read := 0
	for _, err := range log.ReadStream(t.Context(), "contact-1", eventlog.Forward, 0, 0) {
		if read++; read == 1 {
			store.Kill()
		}
		failure = err
	}
	if !errors.Is(failure, eventlog.ErrUnavailable) {
		t.Errorf("the read of %d events ended with %v, want ErrUnavailable", read, failure)
	}
}

func TestClosingLeavesNothingBehind(t *testing.T) {
	for name, before := range map[string]func(*eventstoretest.Server, *esdb.Log){
		"while the store is there": func(*eventstoretest.Server, *esdb.Log) {},
		"while the store is away": func(store *eventstoretest.Server, log *esdb.Log) {
			store.Kill()
			wantUnavailable(t, log)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bystanders := lookForBystanders(t)
			store := eventstoretest.Start(t)
			log := open(t, store.ConnectionString())
			mustAppend(t, log, "contact-1", 3)
			followAll(t, log).awaitMore(3)
			before(store, log)
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			awaitNothingLeft(t, bystanders)
		})
	}
}

// bystanders are goroutines that were there before a test. A client whose store
// goes away for good, between being found and being used, looks for it for ever
// and can't be stopped (a defect: it looks without a context); a test that is
// about something else may have left one.
type bystanders map[string]bool

func lookForBystanders(t *testing.T) bystanders {
	t.Helper()
	all, err := stacks()
	if err != nil {
		t.Fatal(err)
	}
	standing := bystanders{}
	for id := range all {
		standing[id] = true
	}
	return standing
}

// awaitNothingLeft waits until no goroutine of a log, of its client or of the
// client's connections is there, but for those that were there before.
func awaitNothingLeft(t *testing.T, before bystanders) {
	t.Helper()
	awaitGone(t, before, "esdb.connectionStateMachine", "eventlog/esdb.(*", "eventlog/esdb.await", "grpc.(*addrConn)")
}

// awaitNoCallLeft waits until no call is in a client.
func awaitNoCallLeft(t *testing.T, before bystanders) {
	t.Helper()
	awaitGone(t, before, "eventlog/esdb.await", "eventlog/esdb.(*reading)")
}

// awaitGone waits until no goroutine but the bystanders runs one of these
// functions.
func awaitGone(t *testing.T, before bystanders, functions ...string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		select {
		case <-time.After(10 * time.Millisecond): // looking stops all goroutines
		case <-ctx.Done():
		}
		return running(before, functions)
	})
}

// running fails with the stack of a goroutine, not one of the bystanders, that
// runs one of these functions.
func running(before bystanders, functions []string) error {
	all, err := stacks()
	if err != nil {
		return err
	}
	for id, stack := range all {
		for _, function := range functions {
			if !before[id] && strings.Contains(stack, function) {
				return errors.New(stack)
			}
		}
	}
	return nil
}

// stacks returns the stack of each goroutine, by what names it: goroutine 7.
func stacks() (map[string]string, error) {
	var text strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&text, 2); err != nil {
		return nil, err
	}
	all := map[string]string{}
	for stack := range strings.SplitSeq(text.String(), "\n\n") {
		id, _, _ := strings.Cut(stack, " [")
		all[id] = stack
	}
	return all, nil
}
