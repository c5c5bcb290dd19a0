package serve

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	"github.com/triangle-suite/triangle/services/telemetry"
)

// The limits that hold where Options say nothing.
const (
	// DefaultBodyLimit is the largest request, in bytes.
	DefaultBodyLimit = 1 << 20
	// DefaultCallTimeout is a call's deadline when its caller gives none, and how
	// long a caller may take to send a REST request's body. The longest wait that
	// a caller may ask for (10 s) fits in it.
	DefaultCallTimeout = 15 * time.Second
	// DefaultStopTimeout is how long calls under way, and then workers, may take
	// to end.
	DefaultStopTimeout = 10 * time.Second
	// DefaultCheckTimeout is how long a readiness check may take.
	DefaultCheckTimeout = 2 * time.Second
)

// Options are what a service is made of.
type Options struct {
	// HTTPAddr is where REST, probes and metrics are served.
	HTTPAddr string
	// GRPCAddr is where gRPC is served.
	GRPCAddr string
	// Bound, if given, is told the addresses once both ports accept connections.
	Bound func(Addresses)

	// Register registers the API, such as channelv1.RegisterChannelServiceServer.
	// It is called once.
	Register func(grpc.ServiceRegistrar)
	// Gateway connects REST to the API, such as
	// channelv1.RegisterChannelServiceHandler.
	Gateway func(context.Context, *runtime.ServeMux, *grpc.ClientConn) error
	// OpenAPI is the REST API's description, such as channelv1.OpenAPI.
	OpenAPI []byte
	// IsRead tells which methods change nothing, and so need no idempotency key;
	// nil: the function IsRead.
	IsRead func(fullMethod string) bool
	// Translate, if given, turns a domain's own errors into faults before they
	// are answered. It returns an error that it does not know as it is.
	Translate func(error) error

	// Available, if given, tells why no call can be answered for now; nil when
	// calls can be.
	Available func() error

	// Checks are what readiness depends on.
	Checks []Check
	// Workers run beside the API, from the time that both ports are bound until
	// the calls under way have ended.
	Workers []Worker
	// Telemetry is shut down at the end.
	Telemetry *telemetry.Telemetry
	// Tally, if given, counts the calls.
	Tally *Tally

	BodyLimit    int           // 0: DefaultBodyLimit
	CallTimeout  time.Duration // 0: DefaultCallTimeout
	StopTimeout  time.Duration // 0: DefaultStopTimeout
	CheckTimeout time.Duration // 0: DefaultCheckTimeout
}

// Addresses are where a service is served, with the ports that were chosen.
type Addresses struct{ HTTP, GRPC string }

// Check is something that a service needs to be ready, such as its store.
type Check struct {
	Name string
	// Check returns nil when all is well. It returns soon after its context ends.
	Check func(context.Context) error
}

// Worker works in the background for as long as the service runs.
type Worker struct {
	Name string
	// Run returns nil, or the context's error, soon after its context ends. Any
	// other error ends the process. One that returns nil earlier has done its
	// work, and nothing follows.
	Run func(context.Context) error
}

func (o Options) withDefaults() Options {
	o.BodyLimit = cmp.Or(o.BodyLimit, DefaultBodyLimit)
	o.CallTimeout = cmp.Or(o.CallTimeout, DefaultCallTimeout)
	o.StopTimeout = cmp.Or(o.StopTimeout, DefaultStopTimeout)
	o.CheckTimeout = cmp.Or(o.CheckTimeout, DefaultCheckTimeout)
	if o.IsRead == nil {
		o.IsRead = IsRead
	}
	if o.Available == nil {
		o.Available = func() error { return nil }
	}
	if o.Translate == nil {
		o.Translate = func(err error) error { return err }
	}
	return o
}

func (o Options) check() error {
	switch {
	case o.Register == nil:
		return errors.New("serve: Options.Register is missing")
	case o.Gateway == nil:
		return errors.New("serve: Options.Gateway is missing")
	case len(o.OpenAPI) == 0:
		return errors.New("serve: Options.OpenAPI is missing")
	case o.Telemetry == nil:
		return errors.New("serve: Options.Telemetry is missing")
	}
	return nil
}
