package contract

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// ErrHeld says that a build must not run: it would pass over events that are
// written already.
var ErrHeld = errors.New("this build can't take in an event type that is active, and would lose its events; run a build that reads it")

// Active is the types that are active, as far as this replica knows. The zero
// Active knows of none.
type Active struct {
	mu      sync.RWMutex
	schemas map[string]bool
}

// Active tells whether a type is active.
func (a *Active) Active(schema string) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.schemas[schema]
}

func (a *Active) set(schema string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.schemas == nil {
		a.schemas = map[string]bool{}
	}
	a.schemas[schema] = true
}

// Member is this replica, among all that run on the store.
type Member struct {
	// Image is what the replica was started from; empty where nobody told it.
	Image string
	// Calls returns how many API calls it has answered, and how many of them failed
	// for no fault of who called; nil: nobody counts.
	Calls func() (calls, failed uint64)

	streams  *decider.Streams
	active   *Active
	logger   *slog.Logger
	contract *flowv1.ContractAnnounced
	instance string
	admitted chan struct{} // closed when the replica may take events in

	mu      sync.Mutex
	trouble error
}

// errNotAdmitted is why a replica is not ready at first.
var errNotAdmitted = errors.New("this replica has not looked yet which event types are active")

// NewMember returns the replica of a build with the contract. What Run learns to
// be active it notes in active.
func NewMember(s *decider.Streams, active *Active, logger *slog.Logger, contract *flowv1.ContractAnnounced) *Member {
	return &Member{
		streams: s, active: active, logger: logger, contract: contract, instance: uuid.NewString(),
		admitted: make(chan struct{}), trouble: errNotAdmitted,
	}
}

// Ready returns nil once the replica is announced and reads all that is active.
func (m *Member) Ready(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.trouble
}

// Admitted waits until the replica may take events in; false: ctx ended first.
func (m *Member) Admitted(ctx context.Context) bool {
	select {
	case <-m.admitted:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// Run announces the replica, and says that it runs until ctx ends. It fails with
// ErrHeld as soon as a type is active that this build can't take in.
func (m *Member) Run(ctx context.Context) error {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 20*time.Millisecond, 2*time.Second
	for {
		err := m.takePart(ctx, wait.Reset)
		if ctx.Err() != nil {
			m.leave(context.WithoutCancel(ctx))
			return nil //nolint:nilerr // it ended because it was told to
		}
		if errors.Is(err, ErrHeld) {
			m.leave(ctx)
			return err
		}
		m.note(err)
		pause := time.NewTimer(wait.NextBackOff())
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
}

// note shows what is wrong in readiness, and logs it once.
func (m *Member) note(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil && (m.trouble == nil || m.trouble.Error() != err.Error()) {
		m.logger.Warn("this replica can't say that it runs", "reason", err.Error())
	}
	m.trouble = err
}

// takePart announces the replica before it looks what is active, and then follows
// that: whichever comes first, its announcement or an activation, one of the two
// parties sees the other.
func (m *Member) takePart(ctx context.Context, well func()) error {
	id, err := m.announce(ctx)
	if err != nil {
		return err
	}
	active, next, err := Activations(ctx, m.streams)
	if err != nil {
		return err
	}
	for _, a := range active {
		if err := m.admit(a.TypeActivated); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sub, err := m.streams.Log.SubscribeStream(ctx, flows.ActivationsStream, eventlog.StreamOptions{From: next})
	if err != nil {
		return fmt.Errorf("follow what is active: %w", err)
	}
	defer sub.Close()
	m.note(nil)
	well()
	select {
	case <-m.admitted:
	default:
		close(m.admitted)
	}
	renew := time.NewTicker(RenewEvery)
	defer renew.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-renew.C:
			if err := m.sayThatItRuns(ctx, id); err != nil {
				return err
			}
		case message, ok := <-sub.Messages():
			if !ok {
				return fmt.Errorf("follow what is active: %w", sub.Err())
			}
			if err := m.follow(ctx, message); err != nil {
				return err
			}
		}
	}
}

func (m *Member) follow(ctx context.Context, message eventlog.Message) error {
	if message.Kind != eventlog.KindEvent {
		return nil
	}
	e, err := m.streams.Codec.Decode(ctx, message.Event)
	if err != nil {
		return fmt.Errorf("follow what is active: %w", err)
	}
	if a, ok := e.Message.(*flowv1.TypeActivated); ok {
		return m.admit(a)
	}
	return nil
}

// admit notes an active type, or fails with ErrHeld.
func (m *Member) admit(a *flowv1.TypeActivated) error {
	if lacks := Lacks(m.contract, a); lacks != "" {
		return fmt.Errorf("%s (build %s) %s: %w", m.contract.GetService(), m.contract.GetBuild(), lacks, ErrHeld)
	}
	m.active.set(a.GetSchema())
	return nil
}

// replicasKept is how many events a stream of replicas keeps: at least three of
// each of a hundred replicas.
const replicasKept = 300

// announce appends the contract, unless it is there, and says that the replica
// runs.
func (m *Member) announce(ctx context.Context) (id uuid.UUID, err error) {
	service := flows.Service(m.contract.GetService())
	if id, err = Announce(ctx, m.streams, m.contract, m.Image); err != nil {
		return id, err
	}
	if err := m.streams.Log.SetMaxCount(ctx, flows.ReplicasStream(service), replicasKept); err != nil {
		return id, fmt.Errorf("bound %s: %w", flows.ReplicasStream(service), err)
	}
	return id, m.sayThatItRuns(ctx, id)
}

func (m *Member) sayThatItRuns(ctx context.Context, contract uuid.UUID) error {
	var calls, failed uint64
	if m.Calls != nil {
		calls, failed = m.Calls()
	}
	return m.tell(ctx, &flowv1.ReplicaSeen{
		Service: m.contract.GetService(), Instance: m.instance, Build: m.contract.GetBuild(), ContractId: contract.String(),
		Image: m.Image, Calls: calls, Failed: failed,
	})
}

// leavingTakes bounds how long a replica that ends tries to say so.
const leavingTakes = time.Second

// leave says that the replica runs no more. Where that fails, others find out when
// it says nothing for a while.
func (m *Member) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leavingTakes)
	defer cancel()
	if err := m.tell(ctx, &flowv1.ReplicaLeft{Service: m.contract.GetService(), Instance: m.instance}); err != nil {
		m.logger.Warn("this replica leaves without having said so", "reason", err.Error())
	}
}

func (m *Member) tell(ctx context.Context, what proto.Message) error {
	stream := flows.ReplicasStream(flows.Service(m.contract.GetService()))
	e, err := m.streams.Codec.Encode(ctx, what, uuid.New(), codec.Metadata{
		Source: codec.Source(flows.Service(m.contract.GetService())), Subject: stream, Time: time.Now().UTC(),
	})
	if err != nil {
		return fmt.Errorf("tell of this replica: %w", err)
	}
	if _, err := m.streams.Log.Append(ctx, stream, eventlog.Any, e); err != nil {
		return fmt.Errorf("tell of this replica: %w", err)
	}
	return nil
}
