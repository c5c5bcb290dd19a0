// Package esdb is the event log in an EventStoreDB or KurrentDB, or in any store
// that speaks its protocol, over the store's own client.
//
// The client works well while the store does. What it does while the store is
// away (block without regard to contexts, die for good, panic when closed) is
// kept from the log's callers by a holder of clients, a bound around each call,
// and subscriptions that subscribe again.
//
// One connection carries about a hundred calls at a time, each subscription
// being one for as long as it lives. A service has about fifteen of them; the
// log refuses more than MaxSubscriptions, so that there is always room for
// calls.
package esdb

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// defaultPatience is how long a call whose context has no deadline waits for
// the store, as the client does for an append.
const defaultPatience = 10 * time.Second

// Log is an event log in a store. Use Open.
type Log struct {
	holder        *holder
	subscriptions subscriptions
	patience      time.Duration
	metrics       *metrics // nil: nobody sees them
}

var _ eventlog.Log = (*Log)(nil)

// Option changes how a Log is opened.
type Option func(*settings)

type settings struct {
	patience time.Duration
	logger   *slog.Logger

	registerer prometheus.Registerer
}

// WithPatience bounds how long a call whose context has no deadline waits for
// the store: for all of an append, for a read to begin. The default is 10 s.
func WithPatience(patience time.Duration) Option {
	return func(s *settings) { s.patience = patience }
}

// WithLogger lets the client tell logger what it does, at debug. By default it is
// quiet: whatever matters is in the errors.
func WithLogger(logger *slog.Logger) Option {
	return func(s *settings) { s.logger = logger }
}

// Open returns a log in the store that connectionString names
// (esdb://host:2113?tls=false). It does not wait for the store, which may come
// later: Ping tells whether it answers.
func Open(connectionString string, options ...Option) (*Log, error) {
	chosen := settings{patience: defaultPatience, logger: slog.New(slog.DiscardHandler)}
	for _, option := range options {
		option(&chosen)
	}
	config, err := esdb.ParseConnectionString(connectionString)
	if err != nil {
		return nil, fmt.Errorf("event store connection string: %w", err)
	}
	config.Logger = logTo(chosen.logger)
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("event store connection string: %w", err)
	}
	metrics, err := newMetrics(chosen.registerer)
	if err != nil {
		return nil, err
	}
	return &Log{holder: newHolder(*config), patience: chosen.patience, metrics: metrics}, nil
}

// logTo makes all that the client says details: it calls an orderly stop an
// error, too, and what matters shows in readiness. Its own level stands beside.
func logTo(logger *slog.Logger) esdb.LoggingFunc {
	levels := map[esdb.LogLevel]string{
		esdb.LogDebug: "debug", esdb.LogInfo: "info", esdb.LogWarn: "warn", esdb.LogError: "error",
	}
	return func(level esdb.LogLevel, format string, args ...any) {
		ctx := context.Background()
		if logger.Enabled(ctx, slog.LevelDebug) {
			logger.DebugContext(ctx, fmt.Sprintf(format, args...), "client_level", levels[level])
		}
	}
}

// Append implements eventlog.Log.
func (l *Log) Append(
	ctx context.Context, stream string, expected eventlog.Expected, events ...eventlog.NewEvent,
) (appended eventlog.Appended, err error) {
	began := time.Now()
	defer func() { l.metrics.appended(began, events, err) }()
	// The size is checked on this side, because the client loses the store's
	// answer to an append that the store cuts short (a defect).
	if err := eventlog.CheckSize(events); err != nil {
		return eventlog.Appended{}, fmt.Errorf("append to %s: %w", stream, err)
	}
	result, err := call(ctx, l, func(ctx context.Context, client *esdb.Client) (*esdb.WriteResult, error) {
		options := esdb.AppendToStreamOptions{ExpectedRevision: toExpected(expected), Deadline: remaining(ctx)}
		return client.AppendToStream(ctx, stream, options, toEventData(events)...)
	})
	if err != nil {
		return eventlog.Appended{}, fmt.Errorf("append to %s expecting %s: %w", stream, expected, err)
	}
	if len(events) == 0 { // the client makes up a revision for a stream that is not there
		return eventlog.Appended{}, nil
	}
	return eventlog.Appended{
		Revision: result.NextExpectedVersion,
		Position: eventlog.Position{Commit: result.CommitPosition, Prepare: result.PreparePosition},
	}, nil
}

// Ping implements eventlog.Log.
func (l *Log) Ping(ctx context.Context) error {
	began := time.Now()
	_, err := call(ctx, l, func(ctx context.Context, client *esdb.Client) (struct{}, error) {
		return struct{}{}, ping(ctx, client)
	})
	l.metrics.done(opPing, began, err)
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}

// Close implements eventlog.Log.
func (l *Log) Close() error {
	l.subscriptions.close()
	l.holder.close()
	return nil
}

// call runs do with a client that has found the store, until ctx ends. What the
// store has not taken in is tried again.
func call[T any](
	callers context.Context, l *Log, do func(context.Context, *esdb.Client) (T, error),
) (T, error) {
	var none T
	if err := l.holder.enter(); err != nil {
		return none, err
	}
	defer l.holder.calls.Done()
	if err := callers.Err(); err != nil {
		return none, err
	}
	ctx, cancel := l.bound(callers)
	defer cancel()
	pause := newBackOff(time.Second)
	for {
		value, err := once(ctx, l.holder, do)
		if !isUnsent(err) || wait(ctx, pause.NextBackOff()) != nil {
			return value, explain(callers, err)
		}
	}
}

// once runs do with one client.
func once[T any](
	ctx context.Context, h *holder, do func(context.Context, *esdb.Client) (T, error),
) (T, error) {
	c, err := h.acquire(ctx)
	if err != nil {
		var none T
		return none, err
	}
	defer c.release()
	return await(ctx, ctx, c, do)
}

// bound gives a context that has no deadline one.
func (l *Log) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, l.patience)
}

// remaining returns how long ctx still lives. The client puts ten seconds in
// the place of a deadline that it is not given in its own way, however long the
// context lives (a defect).
func remaining(ctx context.Context) *time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil
	}
	left := time.Until(deadline)
	return &left
}
