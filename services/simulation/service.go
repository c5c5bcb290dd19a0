package simulation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/channel"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/host"
	"github.com/triangle-suite/triangle/services/internal/job"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing"
	"github.com/triangle-suite/triangle/services/sales"
)

// heartbeat is long, as days pass in a story.
const heartbeat = 20 * time.Minute

// outside are a service's partners: its back office's address and how long a visitor
// waits for it, and who takes its e-mails and letters.
type outside struct {
	office      config.URL
	patience    time.Duration
	mail, print channel.Carrier
}

// build makes a service of its parts and of its partners.
type build func(ctx context.Context, parts host.Parts, partners outside) (host.Application, error)

var builds = map[flows.Service]build{
	flows.Channel: func(ctx context.Context, parts host.Parts, partners outside) (host.Application, error) {
		return channel.New(ctx, parts, channel.Settings{
			BackOffice: partners.office, Deadline: partners.patience, Mail: partners.mail, Print: partners.print,
		})
	},
	flows.Sales: func(ctx context.Context, parts host.Parts, partners outside) (host.Application, error) {
		return sales.New(ctx, parts, &sales.Settings{BackOffice: partners.office})
	},
	flows.Marketing: func(ctx context.Context, parts host.Parts, _ outside) (host.Application, error) {
		return marketing.New(ctx, parts)
	},
}

// service is one of the three, with the database that outlives its lives.
type service struct {
	world  *world
	name   flows.Service
	where  string
	random *rand.Rand   // of how long it stays down
	clock  atomic.Int64 // how far the clock of its calls is ahead, in nanoseconds

	mu  sync.Mutex
	now *life // nil while it is down
}

// life is a service from a start to the next crash.
type life struct {
	service *service
	ctx     context.Context
	end     context.CancelFunc
	running sync.WaitGroup // what runs in it, calls included; entered under service.mu
	api     api

	// The scheduler's own.
	dead    bool
	writing bool // a transaction is under way
}

// keep starts the service again whenever it has ended, until ctx ends.
func (s *service) keep(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.live(ctx); err != nil && !isExpected(err) {
			s.world.diverge("%s ended with %v", s.name, err)
		}
		if !s.world.mended() {
			pauseOr(ctx, s.downtime())
		} else {
			pauseOr(ctx, time.Minute)
		}
	}
}

// downtime is mostly short.
func (s *service) downtime() time.Duration {
	if s.random.IntN(4) == 0 && !s.world.brief {
		return time.Duration(s.random.Int64N(int64(3 * time.Hour)))
	}
	return time.Duration(s.random.Int64N(int64(2 * time.Minute)))
}

func pauseOr(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// isExpected tells whether a service may end so: it crashed, or something that it
// needs to start was broken.
func isExpected(err error) bool {
	return errors.Is(err, errCrashed) || errors.Is(err, errBroken) || errors.Is(err, context.Canceled)
}

// live runs the service until it crashes or ctx ends.
func (s *service) live(ctx context.Context) (err error) {
	l := &life{service: s}
	l.ctx, l.end = context.WithCancel(ctx)
	defer l.end()
	db, err := projection.Open(ctx, s.where, string(s.name), projection.Alone)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.Hook(l.hooks())
	office, leave := partners().open(l)
	defer leave()
	app, err := l.assemble(db, config.URL(office))
	if err != nil {
		return err
	}
	app.Register(&l.api)
	ended := make(chan error, 16)
	for _, w := range app.Serving().Workers {
		l.running.Go(func() { ended <- w.Run(l.ctx) })
	}
	s.set(l)
	select {
	case <-l.ctx.Done():
	case err = <-ended: // nothing of it ends before it is told to
		if err == nil {
			err = errors.New("a worker ended by itself")
		}
	}
	s.set(nil)
	l.end()
	l.running.Wait()
	if ctx.Err() != nil || l.isDead() {
		return nil
	}
	return err
}

func (l *life) isDead() bool {
	l.service.world.mu.Lock()
	defer l.service.world.mu.Unlock()
	return l.dead
}

func (l *life) assemble(db *projection.DB, office config.URL) (host.Application, error) {
	ring := keys{l.service.world.ring, l}
	c, err := codec.New(ring)
	if err != nil {
		return host.Application{}, err
	}
	s := l.service
	parts := host.Parts{
		DB: db, Streams: &decider.Streams{Log: connection{s.world.log, l}, Codec: c}, Ring: ring,
		Logger: s.world.logger(string(s.name)), Heartbeat: heartbeat,
		Origins: func(ctx context.Context, method string, request proto.Message) (decider.Origin, error) {
			key, _ := ctx.Value(idempotencyKey{}).(string)
			return decider.CallOrigin(ring, s.name, method, key, request, s.time())
		},
	}
	return builds[s.name](job.Named(l.ctx, "start"), parts, outside{office, s.world.patience, carrier{l, false}, carrier{l, true}})
}

// time is what the service's calls take for the time.
func (s *service) time() time.Time { return time.Now().Add(time.Duration(s.clock.Load())).UTC() }

func (l *life) hooks() projection.Hooks {
	at := func(p Point) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := l.await(ctx, p, "")
			return err
		}
	}
	return projection.Hooks{
		Begin: at(Begin), Commit: at(Commit), Committed: at(Committed),
		Ended: func(context.Context) { l.service.world.ended(l) },
	}
}

func (s *service) set(l *life) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = l
}

func (s *service) isUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now != nil
}

// errDown says that a service is not there to be called.
var errDown = fmt.Errorf("%w: the service is down", errBroken)

// Invoke implements grpc.ClientConnInterface within the process.
func (s *service) Invoke(ctx context.Context, method string, request, response any, _ ...grpc.CallOption) error {
	l := s.enter()
	if l == nil {
		return errDown
	}
	defer l.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	return l.api.call(ctx, method, request, response)
}

// NewStream implements grpc.ClientConnInterface: no call streams.
func (s *service) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errors.ErrUnsupported
}

// enter lets a call in.
func (s *service) enter() *life {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != nil {
		s.now.running.Add(1)
	}
	return s.now
}

type idempotencyKey struct{}

// api is the handlers of a service.
type api struct {
	handlers map[string]func(ctx context.Context, decode func(any) error) (any, error)
}

// RegisterService implements grpc.ServiceRegistrar.
func (a *api) RegisterService(service *grpc.ServiceDesc, implementation any) {
	a.handlers = map[string]func(context.Context, func(any) error) (any, error){}
	for _, m := range service.Methods {
		a.handlers["/"+service.ServiceName+"/"+m.MethodName] = func(ctx context.Context, decode func(any) error) (any, error) {
			return m.Handler(implementation, ctx, decode, nil)
		}
	}
}

func (a *api) call(ctx context.Context, method string, request, response any) error {
	answer, err := a.handlers[method](ctx, func(into any) error {
		proto.Merge(into.(proto.Message), request.(proto.Message))
		return nil
	})
	if err != nil {
		return err
	}
	proto.Merge(response.(proto.Message), answer.(proto.Message))
	return nil
}

// isRefusal tells whether a call was answered: another one would be answered so,
// too. What is personal of who was erased is refused at the edge.
func isRefusal(err error) bool {
	var refused *fault.Error
	return errors.Is(err, keyring.ErrDestroyed) || errors.As(err, &refused) && refused.Kind != fault.KindUnavailable
}

func ignoreWrongRevision(err error) error {
	if errors.Is(err, eventlog.ErrWrongRevision) {
		return nil
	}
	return err
}

func (w *world) logger(service string) *slog.Logger {
	if w.tell == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(teller(w.tell), nil)).With("service", service)
}

// teller writes to whoever is told.
type teller func(string)

// Write implements io.Writer.
func (t teller) Write(line []byte) (int, error) {
	t(string(line))
	return len(line), nil
}
