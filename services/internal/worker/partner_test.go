package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/tracing"
	"github.com/triangle-suite/triangle/services/internal/worker"
	"github.com/triangle-suite/triangle/services/watermillesdb"
)

var (
	errAway    = errors.New("the partner is away")
	errRefused = errors.New("the partner refuses")
	errBroken  = errors.New("nobody can read it")
)

// office is a partner, and the table of what waits for it.
type office struct {
	mu      sync.Mutex
	waiting []string
	said    map[string]error // what the partner says to a piece
	tried   []try
	ready   func() error
	stop    func()
	log     *memory.Log
}

// try is one call of the partner.
type try struct {
	id string
	at time.Duration // since the start
}

// open runs a partner until the tale ends, in a time of its own.
func open(t *testing.T, o *office, change func(*worker.Partner, *worker.Parts), tell func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		o.log = memory.New(memory.Options{})
		db, err := projection.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), "tested", projection.Alone)
		if err != nil {
			t.Fatal(err)
		}
		partner := worker.Partner{
			Name: "the office", Timeout: 10 * time.Second,
			Look: func(context.Context, int) ([]string, time.Time, error) {
				return o.list(), time.Now().Add(time.Second), nil
			},
			Do: func(_ context.Context, id string) error {
				o.mu.Lock()
				defer o.mu.Unlock()
				o.tried = append(o.tried, try{id, time.Since(began)})
				if err := o.said[id]; err != nil {
					return fmt.Errorf("of %s: %w", id, err)
				}
				o.waiting = slices.DeleteFunc(o.waiting, func(one string) bool { return one == id })
				return nil
			},
			Refused: func(err error) bool { return errors.Is(err, errRefused) },
			Broken:  func(err error) bool { return errors.Is(err, errBroken) },
		}
		parts := worker.Parts{DB: db, Log: o.log, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
		if change != nil {
			change(&partner, &parts)
		}
		w, err := partner.Worker(parts)
		if err != nil {
			t.Fatal(err)
		}
		o.ready = func() error { return w.Ready(t.Context()) }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		o.stop = sync.OnceFunc(func() {
			cancel()
			if err := errors.Join(<-ended, db.Close(), o.log.Close()); err != nil {
				t.Error(err)
			}
		})
		defer o.stop()
		synctest.Wait()
		tell(t)
	})
}

func (o *office) list() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.waiting)
}

// say sets what the partner says to a piece from now on.
func (o *office) say(id string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.said[id] = err
}

// tries returns when a piece was tried.
func (o *office) tries(id string) (at []time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, one := range o.tried {
		if one.id == id {
			at = append(at, one.at)
		}
	}
	return at
}

func (o *office) wantWaiting(t *testing.T, want ...string) {
	t.Helper()
	if got := o.list(); !slices.Equal(got, want) {
		t.Errorf("%q wait, want %q", got, want)
	}
}

func (o *office) wantReady(t *testing.T, want error) {
	t.Helper()
	if err := o.ready(); !errors.Is(err, want) {
		t.Errorf("readiness says %v, want %v", err, want)
	}
}

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestPiecesAreDoneOnceAndInTheirOrder(t *testing.T) {
	o := &office{waiting: []string{"a", "b", "c"}}
	open(t, o, nil, func(t *testing.T) {
		pass(time.Hour)
		o.wantWaiting(t)
		o.wantReady(t, nil)
		if want := []try{{"a", 0}, {"b", 0}, {"c", 0}}; !slices.Equal(o.tried, want) {
			t.Errorf("tried %v", o.tried)
		}
	})
}

func TestWhatTheTableDoesNotShowYetIsNotDoneTwice(t *testing.T) {
	o := &office{waiting: []string{"a"}}
	slow := func(p *worker.Partner, _ *worker.Parts) {
		p.Look = func(context.Context, int) ([]string, time.Time, error) {
			return []string{"a"}, time.Now().Add(time.Second), nil
		}
	}
	open(t, o, slow, func(t *testing.T) {
		pass(time.Hour)
		if got := len(o.tries("a")); got != 1 {
			t.Errorf("it was done %d times", got)
		}
	})
}

func TestARefusedPieceStandsAsideAndComesAgain(t *testing.T) {
	o := &office{waiting: []string{"a", "b"}, said: map[string]error{"a": errRefused}}
	retrying := func(p *worker.Partner, _ *worker.Parts) { p.Retries = 3 }
	open(t, o, retrying, func(t *testing.T) {
		o.wantWaiting(t, "a")
		o.wantReady(t, errRefused)
		pass(24 * time.Hour)
		at := o.tries("a")
		if n := len(at); n < 24*60/8 || n > 24*60/2 { // each five minutes or so
			t.Errorf("it was tried %d times", n)
		}
		if first := at[1] - at[0]; first < time.Second/2 || first > 3*time.Second {
			t.Errorf("it came again after %s", first)
		}
		o.say("a", nil)
		pass(10 * time.Minute)
		o.wantWaiting(t)
		o.wantReady(t, nil)
	})
}

func TestABrokenPieceGoesIntoThePoisonQueueAndOthersGoOn(t *testing.T) {
	o := &office{waiting: []string{"a", "b"}, said: map[string]error{"a": errBroken}}
	retrying := func(p *worker.Partner, _ *worker.Parts) { p.Retries = 3 }
	open(t, o, retrying, func(t *testing.T) {
		pass(time.Hour)
		o.wantWaiting(t, "a")
		o.wantReady(t, errBroken)
		if got := len(o.tries("a")); got != 1 {
			t.Errorf("it was tried %d times", got)
		}
		stream := watermillesdb.StreamOfTopic(worker.PoisonTopic("the office"))
		var poisoned []string
		for event, err := range o.log.ReadStream(t.Context(), stream, eventlog.Forward, 0, 0) {
			if err != nil {
				t.Fatal(err)
			}
			msg, err := watermillesdb.DefaultMarshaler{}.Unmarshal("", event.NewEvent)
			if err != nil {
				t.Fatal(err)
			}
			poisoned = append(poisoned, msg.Metadata.Get("piece")+": "+msg.Metadata.Get("reason_poisoned"))
		}
		if want := []string{"a: of a: nobody can read it"}; !slices.Equal(poisoned, want) {
			t.Errorf("the queue holds %q, want %q", poisoned, want)
		}
	})
}

func TestABrokenPieceLeadsToTheTraceOfItsTry(t *testing.T) {
	seen := tracetest.NewInMemoryExporter()
	tracer := tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(seen)))
	cause := tracing.Origin{TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
	o := &office{waiting: []string{"a"}, said: map[string]error{"a": errBroken}}
	traced := func(p *worker.Partner, parts *worker.Parts) {
		parts.Tracer = tracer
		do := p.Do
		p.Do = func(ctx context.Context, id string) error {
			ctx, span := tracer.Ask(ctx, p.Name, id, cause)
			err := do(ctx, id)
			span.End(err)
			return err
		}
	}
	open(t, o, traced, func(t *testing.T) {
		pass(time.Hour)
		asked := seen.GetSpans()
		if len(asked) != 1 || asked[0].Name != "ask the office" || asked[0].Parent.SpanID().String() != "00f067aa0ba902b7" {
			t.Fatalf("the partner is asked in %v, want one span beneath the event that asked for it", asked)
		}
		stream := watermillesdb.StreamOfTopic(worker.PoisonTopic("the office"))
		for event, err := range o.log.ReadStream(t.Context(), stream, eventlog.Forward, 0, 0) {
			if err != nil {
				t.Fatal(err)
			}
			msg, err := watermillesdb.DefaultMarshaler{}.Unmarshal("", event.NewEvent)
			if err != nil {
				t.Fatal(err)
			}
			sc := asked[0].SpanContext
			if got, want := msg.Metadata.Get("traceparent"), fmt.Sprintf("00-%s-%s-01", sc.TraceID(), sc.SpanID()); got != want {
				t.Errorf("the message carries %q, want %q", got, want)
			}
			return
		}
		t.Error("the queue is empty")
	})
}

func TestAPoisonQueueThatIsAwayLosesNothing(t *testing.T) {
	o := &office{waiting: []string{"a"}, said: map[string]error{"a": errBroken}}
	away := func(_ *worker.Partner, parts *worker.Parts) {
		parts.Log = memory.New(memory.Options{BeforeAppend: func(string, []eventlog.NewEvent) error { return errAway }})
	}
	open(t, o, away, func(t *testing.T) {
		pass(time.Minute)
		o.wantReady(t, errBroken)
		if got := len(o.tries("a")); got < 2 {
			t.Errorf("it was tried %d times", got)
		}
	})
}

func TestAPartnerThatIsAwayIsLeftAlone(t *testing.T) {
	o := &office{waiting: []string{"a", "b"}, said: map[string]error{"a": errAway}}
	open(t, o, nil, func(t *testing.T) {
		pass(10 * time.Minute)
		o.wantWaiting(t, "a", "b") // in their order
		o.wantReady(t, errAway)    // and not only that the breaker is open
		at := o.tries("a")
		if len(at) < 10 || len(at) > 10*60/5+10 {
			t.Errorf("it was asked %d times", len(at))
		}
		for i := 6; i < len(at); i++ {
			if pause := at[i] - at[i-1]; pause < 5*time.Second {
				t.Errorf("the %dth time after %s", i, pause)
			}
		}
		o.say("a", nil)
		pass(15 * time.Second)
		o.wantWaiting(t)
		o.wantReady(t, nil)
	})
}

func TestATryIsRepeatedAtOnceOnlyWhereThePartnerBearsIt(t *testing.T) {
	for retries := range 4 {
		t.Run(fmt.Sprint(retries), func(t *testing.T) {
			o := &office{waiting: []string{"a"}, said: map[string]error{"a": errAway}}
			retrying := func(p *worker.Partner, _ *worker.Parts) {
				p.Retries = retries
				p.Look = func(context.Context, int) ([]string, time.Time, error) {
					if len(o.tries("a")) > 0 {
						return nil, time.Time{}, nil
					}
					return o.list(), time.Time{}, nil
				}
			}
			open(t, o, retrying, func(t *testing.T) {
				pass(time.Hour)
				if got := len(o.tries("a")); got != retries+1 {
					t.Errorf("it was tried %d times", got)
				}
			})
		})
	}
}

func TestEachTryHasItsTime(t *testing.T) {
	o := &office{waiting: []string{"a"}}
	var took []time.Duration
	slow := func(p *worker.Partner, _ *worker.Parts) {
		p.Retries, p.Timeout = 2, time.Minute
		p.Do = func(ctx context.Context, _ string) error {
			began := time.Now()
			<-ctx.Done()
			took = append(took, time.Since(began))
			return ctx.Err()
		}
	}
	open(t, o, slow, func(t *testing.T) {
		pass(3*time.Minute + 10*time.Second)
		o.stop() // in the middle of a try
		for i, one := range took[:3] {
			if one != time.Minute {
				t.Errorf("try %d took %s", i, one)
			}
		}
	})
}

func TestAPanicIsAFailureLikeAnyOther(t *testing.T) {
	o := &office{waiting: []string{"a"}}
	var falls atomic.Bool
	falls.Store(true)
	falling := func(p *worker.Partner, _ *worker.Parts) {
		do := p.Do
		p.Do = func(ctx context.Context, id string) error {
			if falls.Load() {
				panic("the desk falls over")
			}
			return do(ctx, id)
		}
	}
	open(t, o, falling, func(t *testing.T) {
		if err := o.ready(); err == nil || !strings.Contains(err.Error(), "the desk falls over") {
			t.Errorf("readiness says %v", err)
		}
		falls.Store(false)
		pass(time.Minute)
		o.wantWaiting(t)
	})
}

func TestAPartnerIsGivenSoManyPiecesASecond(t *testing.T) {
	o := &office{}
	for i := range 100 {
		o.waiting = append(o.waiting, fmt.Sprint(i))
	}
	throttled := func(p *worker.Partner, _ *worker.Parts) { p.PerSecond = 10 }
	open(t, o, throttled, func(t *testing.T) {
		pass(5 * time.Second)
		if got := len(o.list()); got < 49 || got > 51 {
			t.Errorf("after five seconds %d wait", got)
		}
	})
}

func TestTheRoutersMetricsAreTold(t *testing.T) {
	o := &office{waiting: []string{"a", "b"}, said: map[string]error{"a": errRefused}}
	registry := prometheus.NewRegistry()
	measured := func(_ *worker.Partner, parts *worker.Parts) { parts.Metrics = registry }
	open(t, o, measured, func(t *testing.T) {
		pass(time.Second)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				for _, label := range metric.GetLabel() {
					seen[family.GetName()+" "+label.GetName()+"="+label.GetValue()] = true
				}
			}
		}
		for _, want := range []string{
			"triangle_partner_handler_execution_time_seconds handler_name=the office",
			"triangle_partner_handler_execution_time_seconds success=true",
			"triangle_partner_handler_execution_time_seconds success=false",
			"triangle_partner_subscriber_messages_received_total acked=nacked",
		} {
			if !seen[want] {
				t.Errorf("there is no %s among %v", want, seen)
			}
		}
	})
}
