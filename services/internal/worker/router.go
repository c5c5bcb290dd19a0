package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/components/metrics"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/sony/gobreaker"

	"github.com/triangle-suite/triangle/services/internal/tracing"
)

// pieceKey is the key of a message's metadata that names the piece.
const pieceKey = "piece"

// How long a partner that is away is left alone, and after how many failures in
// a row.
const (
	cooldown  = 5 * time.Second
	tripAfter = 5
)

// chain is a partner's middleware, the outermost first. It outlives the Router,
// which is a new one each time that the work begins again.
type chain struct {
	middleware []message.HandlerMiddleware
	decorate   func(message.Subscriber) (message.Subscriber, error)
}

func (p Partner) chain(parts Parts, poison message.Publisher, l *line) (chain, error) {
	c := chain{
		middleware: []message.HandlerMiddleware{l.report},
		decorate:   func(s message.Subscriber) (message.Subscriber, error) { return s, nil },
	}
	if parts.Metrics != nil {
		measured := metrics.NewPrometheusMetricsBuilder(parts.Metrics, "triangle", "partner")
		// A partner takes longer than the handlers that the defaults are made for.
		measured.HandlerBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
		c.middleware = append(c.middleware, measured.NewRouterMiddleware().Middleware)
		c.decorate = measured.DecorateSubscriber
	}
	// To the Router a piece that has been put into the queue is done. To the desk it
	// is not: the table still shows it.
	queue, err := middleware.PoisonQueueWithFilter(poison, PoisonTopic(p.Name), func(err error) bool { return is(p.Broken, err) })
	if err != nil {
		return chain{}, err
	}
	c.middleware = append(c.middleware, queue)
	if parts.Tracer.Installed() {
		c.middleware = append(c.middleware, traced)
	}
	breaker := middleware.NewCircuitBreaker(gobreaker.Settings{
		Name: p.Name, Timeout: cooldown,
		ReadyToTrip: func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= tripAfter },
		// Only a partner that is away is left alone.
		IsSuccessful: func(err error) bool { return err == nil || is(p.Refused, err) || is(p.Broken, err) },
	})
	retry := middleware.Retry{
		MaxRetries: p.Retries, InitialInterval: firstPause, MaxInterval: longestPause, Multiplier: 2, RandomizationFactor: 0.5,
		ShouldRetry:         func(r middleware.RetryParams) bool { return !is(p.Refused, r.Err) && !is(p.Broken, r.Err) },
		ResetContextOnRetry: true, // the time-out of one try ends the context that the next one would get
	}
	c.middleware = append(c.middleware, l.note, breaker.Middleware, retry.Middleware)
	if p.PerSecond > 0 {
		c.middleware = append(c.middleware, middleware.NewThrottle(p.PerSecond, time.Second).Middleware)
	}
	c.middleware = append(c.middleware, middleware.Timeout(p.Timeout), middleware.Recoverer)
	return c, nil
}

// PoisonTopic is the topic that a partner's broken pieces are put into.
func PoisonTopic(name string) string { return "poison-" + strings.ReplaceAll(name, " ", "-") }

// poisonedError says that a piece has been put into the poison queue.
type poisonedError struct{ cause error }

func (e poisonedError) Error() string { return "it is in the poison queue: " + e.cause.Error() }
func (e poisonedError) Unwrap() error { return e.cause }

// line leads from the desk through a Router to the partner, and the outcome back:
// Watermill's own ack says nothing of why. One piece at a time is under way.
type line struct {
	feed    *feed
	outcome chan error
	cause   error // why the piece failed, before the poison queue had it
}

// offer sends a piece along the line, and returns what became of it.
func (l *line) offer(ctx context.Context, name, id string) error {
	msg := message.NewMessage(name+":"+id, []byte("{}"))
	msg.Metadata.Set(pieceKey, id)
	msg.SetContext(ctx)
	select {
	case l.feed.messages <- msg:
		return <-l.outcome
	case <-ctx.Done():
		return ctx.Err()
	}
}

// report is the outermost middleware.
func (l *line) report(h message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		l.cause = nil
		out, err := h(msg)
		if err == nil && l.cause != nil {
			l.outcome <- poisonedError{l.cause}
		} else {
			l.outcome <- err
		}
		return out, err
	}
}

// traced has a piece carry the trace that it is done in: who finds it in the poison
// queue finds the trace by it.
func traced(h message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		ctx, noted := tracing.Noting(msg.Context())
		msg.SetContext(ctx)
		out, err := h(msg)
		noted.Inject(msg.Metadata)
		return out, err
	}
}

// note stands within the poison queue.
func (l *line) note(h message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		out, err := h(msg)
		l.cause = err
		return out, err
	}
}

// during runs a Router while work works, which offers pieces.
func (l *line) during(ctx context.Context, name string, c chain, handle message.NoPublishHandlerFunc, work func(context.Context) error) error {
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return fmt.Errorf("make a router: %w", err)
	}
	l.feed = &feed{messages: make(chan *message.Message)}
	router.AddMiddleware(c.middleware...)
	router.AddSubscriberDecorators(c.decorate)
	router.AddConsumerHandler(name, name, l.feed, handle)
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		defer stop()
		// The Router ends after the work, and not before.
		ended <- router.Run(context.WithoutCancel(ctx))
	}()
	select {
	case <-router.Running():
	case err := <-ended:
		return fmt.Errorf("run the router: %w", err)
	}
	err = work(working)
	return errors.Join(err, router.Close(), <-ended)
}

// feed is what a Router subscribes to.
type feed struct{ messages chan *message.Message }

// Subscribe implements message.Subscriber. A Router that is closed ends ctx, and
// does not always call Close as well.
func (f *feed) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		for {
			select {
			case msg := <-f.messages:
				out <- msg // the Router takes what comes until it is closed
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// Close implements message.Subscriber.
func (f *feed) Close() error { return nil }
