package esdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc/metadata"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// stuckAfter is how long a call may go on after its context has ended before
// its client is taken for stuck.
const stuckAfter = time.Second

// holder keeps a client that works, whatever becomes of clients that do not.
//
//	            probe answered                  Unavailable, ConnectionClosed, stuck
//	dialing ──────────────────────▶ current ──────────────────────────────────────┐
//	   ▲                                                                          ▼
//	   └────────────────────────────────────────────────────────────────────── retired ──▶ closed
//	                         a new one                            its last user has gone
//
// A client is never used again after the first sign of an outage. For once it
// has been told to reconnect (a defect: it tells itself so from within the call
// that failed), it looks for the store inside the next call, ignoring that
// call's context, while all its other calls queue up behind; and the connection
// that it had leaks. See watch for how the next call is kept away.
type holder struct {
	config esdb.Configuration
	closed context.Context // ends at close
	end    context.CancelFunc
	calls  sync.WaitGroup // calls under way

	mu      sync.Mutex
	current *connection
	failure error // of the latest attempt to reach the store
}

// connection is one client, and its users.
type connection struct {
	holder  *holder
	ready   chan struct{} // closed once client is set
	retired chan struct{} // closed once no new user may come
	client  *esdb.Client

	entering sync.WaitGroup // calls on their way into the client
	users    int            // guarded by holder.mu
}

func newHolder(config esdb.Configuration) *holder {
	closed, end := context.WithCancel(context.Background())
	h := &holder{config: config, closed: closed, end: end}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.renew()
	return h
}

// renew begins a new connection. holder.mu is held.
func (h *holder) renew() {
	c := &connection{holder: h, ready: make(chan struct{}), retired: make(chan struct{})}
	h.current = c
	go c.dial()
}

// dial tries until there is a client, or the holder is closed.
func (c *connection) dial() {
	h := c.holder
	config := h.config
	config.Logger = c.watch(h.config.Logger)
	pause := newBackOff(time.Second)
	for {
		client, err := connect(config)
		h.mu.Lock()
		h.failure = err
		if err == nil {
			c.client = client
			c.closeUnused() // the holder may have been closed meanwhile
			h.mu.Unlock()
			close(c.ready)
			return
		}
		h.mu.Unlock()
		if wait(h.closed, pause.NextBackOff()) != nil {
			return
		}
	}
}

// connect returns a client that has found the store.
//
// Two defects meet here. A client that has given up looking is dead, and calls
// that queued behind block for ever: so a client that others will use must
// never give up. And one that never gives up can't be stopped, for it looks
// without a context: so a throwaway client, that looks once and that nobody
// else uses, looks first. What is left is the moment between the two: should the
// store go away in it, the second client looks until the store is back, whether
// the log is closed meanwhile or not.
func connect(config esdb.Configuration) (*esdb.Client, error) {
	config.MaxDiscoverAttempts = 1
	if err := probe(config); err != nil {
		return nil, err
	}
	config.MaxDiscoverAttempts, config.DiscoveryInterval = math.MaxInt32, 1000 // ms; only retired clients wait so
	client, err := esdb.NewClient(&config)
	if err != nil {
		return nil, err
	}
	if _, err := client.GetServerVersion(); err != nil {
		return nil, closeAlone(client, err)
	}
	return client, nil
}

// probe looks for the store once.
func probe(config esdb.Configuration) error {
	config.DiscoveryInterval = 0 // the client would sleep after its only attempt
	client, err := esdb.NewClient(&config)
	if err != nil {
		return err
	}
	_, err = client.GetServerVersion()
	return closeAlone(client, err)
}

// closeAlone closes a client that has no other user, and returns the first error.
func closeAlone(client *esdb.Client, err error) error {
	if closed := client.Close(); err == nil {
		return closed
	}
	return err
}

// toLeader asks for the cluster's leader, if the connection string prefers it:
// what is read to decide something must not come from a node that lags behind.
// The client means to ask so itself, but puts it where incoming calls have their
// metadata (a defect).
func (h *holder) toLeader(ctx context.Context) context.Context {
	if h.config.NodePreference != esdb.NodePreferenceLeader {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "requires-leader", "true")
}

// acquire returns a connection that has found the store. It waits for it until
// ctx ends. The caller releases it.
func (h *holder) acquire(ctx context.Context) (*connection, error) {
	for h.closed.Err() == nil {
		h.mu.Lock()
		c := h.current
		h.mu.Unlock()
		select {
		case <-c.ready:
		case <-h.closed.Done():
			return nil, eventlog.ErrClosed
		case <-ctx.Done():
			return nil, h.unreachable()
		}
		if c.retain() {
			return c, nil
		}
	}
	return nil, eventlog.ErrClosed
}

// unreachable tells why there is no connection.
func (h *holder) unreachable() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failure == nil {
		return eventlog.ErrUnavailable
	}
	return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, h.failure)
}

// retain adds a user, unless the connection is retired.
func (c *connection) retain() bool {
	c.holder.mu.Lock()
	defer c.holder.mu.Unlock()
	if c.isRetired() {
		return false
	}
	c.users++
	return true
}

// enter adds a user that is on its way into the client, unless the connection is
// retired.
func (c *connection) enter() bool {
	c.holder.mu.Lock()
	defer c.holder.mu.Unlock()
	if c.isRetired() {
		return false
	}
	c.users++
	c.entering.Add(1)
	return true
}

// release takes a user away.
func (c *connection) release() {
	c.holder.mu.Lock()
	defer c.holder.mu.Unlock()
	c.users--
	c.closeUnused()
}

// retire lets a new connection take this one's place for all further calls.
func (c *connection) retire() {
	h := c.holder
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.isRetired() {
		return
	}
	close(c.retired)
	if h.closed.Err() == nil {
		h.renew()
	}
	c.closeUnused()
}

func (c *connection) isRetired() bool {
	select {
	case <-c.retired:
		return true
	default:
		return false
	}
}

// closeUnused closes the client of a retired connection after its last user,
// and not before: a call that is about to report Unavailable to a client that
// has been closed would panic (a defect: it sends on the closed channel).
// holder.mu is held.
func (c *connection) closeUnused() {
	if !c.isRetired() || c.users > 0 || c.client == nil {
		return
	}
	_ = c.client.Close() // it has no error to return
	c.client = nil
}

// suspect retires the connection if what was to close done is still under way
// a while after its context has ended: the client is stuck.
func (c *connection) suspect(done <-chan struct{}) {
	time.AfterFunc(stuckAfter, func() {
		select {
		case <-done:
		default:
			c.retire()
		}
	})
}

// errRetired tells that a connection was retired before it could be used.
var errRetired = errors.New("the connection has been given up")

// await runs do with c's client and calling, until waiting ends, for the client
// does not always heed its context (a defect: it waits for a connection without
// looking at it). What is abandoned keeps the connection from being closed until
// it returns.
func await[T any](
	waiting, calling context.Context, c *connection, do func(context.Context, *esdb.Client) (T, error),
) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	var none T
	if !c.enter() {
		return none, errRetired
	}
	answer, done := make(chan outcome, 1), make(chan struct{})
	go func() {
		defer c.release()
		defer close(done)
		inside := sync.OnceFunc(c.entering.Done)
		defer inside()
		value, err := do(entering{calling, inside}, c.client)
		answer <- outcome{value, err}
	}()
	select {
	case o := <-answer:
		return o.value, c.judge(o.err)
	case <-waiting.Done():
	}
	select {
	case o := <-answer: // both happened: what has been done counts
		return o.value, c.judge(o.err)
	default:
		c.suspect(done)
		return none, waiting.Err()
	}
}

// entering is the context of a call into the client, and tells when the client
// first derives another one from it: that is after it has got its connection.
type entering struct {
	context.Context
	inside func()
}

// Done implements context.Context.
func (e entering) Done() <-chan struct{} {
	e.inside()
	return e.Context.Done()
}

// failing is what the client writes to its logger when a call has failed, just
// before it may tell itself to reconnect.
const failing = "unexpected exception: %v"

// watch returns a logger that the client, unknowingly, warns of an outage. When
// it does, the connection is retired, and all calls that are on their way into
// the client get the connection that it still has, before the client looks for
// another. So it never will. Should this moment be missed, calls are still
// bounded by await; they may be stuck, and a connection may leak, until the
// store is back.
func (c *connection) watch(log esdb.LoggingFunc) esdb.LoggingFunc {
	return func(level esdb.LogLevel, format string, args ...any) {
		log(level, format, args...)
		if format != failing || len(args) != 1 {
			return
		}
		if err, ok := args[0].(error); ok && isBroken(err) {
			c.retire()
			c.entering.Wait()
		}
	}
}

// judge retires the connection when err is a sign of an outage, and returns err.
func (c *connection) judge(err error) error {
	if isBroken(err) {
		c.retire()
	}
	return err
}

// enter lets a call begin, unless the holder is closed. The caller calls
// holder.calls.Done at its end.
func (h *holder) enter() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed.Err() != nil {
		return eventlog.ErrClosed
	}
	h.calls.Add(1)
	return nil
}

// close lets no further call begin, waits for those under way, and retires the
// connection.
func (h *holder) close() {
	h.mu.Lock()
	h.end()
	c := h.current
	h.mu.Unlock()
	h.calls.Wait()
	c.retire()
}

// newBackOff returns pauses that grow up to longest, with jitter, so that the
// services do not come back all at once.
func newBackOff(longest time.Duration) *backoff.ExponentialBackOff {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = 50 * time.Millisecond
	pause.RandomizationFactor = 0.5
	pause.Multiplier = 2
	pause.MaxInterval = longest
	return pause
}

// wait returns after a pause, or with ctx's error at its end.
func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
