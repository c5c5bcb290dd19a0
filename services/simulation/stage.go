package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/client"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/job"
	"github.com/triangle-suite/triangle/services/internal/serve"
)

// Stage is the three services, for a story that somebody else tells, by calling
// them as their customers do.
type Stage struct {
	world  *world
	silent atomic.Bool
}

// Weather is what breaks while a story is told on a stage.
type Weather int

const (
	// Fair is when nothing breaks.
	Fair Weather = iota
	// Rough is when messages come twice and late, connections break, others write first, and
	// now and then a process ends; all of that is soon well again.
	Rough
)

// rough is how often what breaks, at most.
var rough = [faults]int{Duplicate: 10, Delay: 10, Disconnect: 10, Conflict: 5, Crash: 2}

// Perform has a story told, in the bubble that the caller is in, with databases in
// the folder dir, and checks what has come of it as Play does. Each decision is
// told to tell, if it is given.
func Perform(seed uint64, dir string, weather Weather, tell func(string), story func(context.Context, *Stage)) Report {
	w := newWorld(seed, tell)
	w.most, w.brief, w.calm = rough, true, weather == Fair
	stage := &Stage{world: w}
	w.office, w.patience = stage.answer, grain // well before anybody else takes the request on
	w.story = func(ctx context.Context) <-chan struct{} {
		done := make(chan struct{})
		go func() {
			defer close(done) // also when the story ends with its goroutine
			story(ctx, stage)
		}()
		return done
	}
	return w.perform(dir)
}

// Services returns clients of the services.
func (s *Stage) Services() *client.Services {
	of := func(name flows.Service) grpc.ClientConnInterface { return caller{s.world.services[name]} }
	return client.Over(of(flows.Channel), of(flows.Sales), of(flows.Marketing))
}

// Flows steers the flows.
func (s *Stage) Flows() *control.Flows { return s.world.flows }

// Pass lets time pass.
func (s *Stage) Pass(ctx context.Context, d time.Duration) error {
	pauseOr(ctx, d)
	return ctx.Err()
}

// BackOffice has the back office answer, or be silent, from now on.
func (s *Stage) BackOffice(answers bool) { s.silent.Store(!answers) }

// Views has CRM tell customer views, or come no further than the events that change
// them, from now on.
func (s *Stage) Views(told bool) {
	withheld := "view-"
	if told {
		withheld = ""
	}
	s.world.withheld.Store(&withheld)
}

// withholds tells whether nothing can be written to a stream for now.
func (w *world) withholds(stream string) bool {
	prefix := w.withheld.Load()
	return prefix != nil && *prefix != "" && !w.mended() && strings.HasPrefix(stream, *prefix)
}

// answer is what the suite's small back office answers: it does service at once, and
// leaves the rest to its people.
func (s *Stage) answer(r *http.Request, _ verdict) (code int, said string, err error) {
	var asked struct{ Kind string }
	if err := errors.Join(json.NewDecoder(r.Body).Decode(&asked), r.Body.Close()); err != nil {
		return 0, "", err
	}
	if s.silent.Load() {
		<-r.Context().Done()
		return 0, "", r.Context().Err()
	}
	if asked.Kind == "service" {
		return http.StatusOK, "done", nil
	}
	return http.StatusAccepted, "pending", nil
}

// caller calls a service, and gets the answers that a caller over the network gets.
type caller struct{ *service }

// Invoke implements grpc.ClientConnInterface.
func (c caller) Invoke(ctx context.Context, method string, request, response any, options ...grpc.CallOption) error {
	sent, _ := metadata.FromOutgoingContext(ctx)
	if keys := sent.Get("idempotency-key"); len(keys) > 0 {
		ctx = context.WithValue(ctx, idempotencyKey{}, keys[0])
	}
	err := c.service.Invoke(job.Named(ctx, "call"), method, request, response, options...)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errCrashed), errors.Is(err, errBroken), ctx.Err() == nil && errors.Is(err, context.Canceled):
		return status.Error(codes.Unavailable, err.Error()) // the service has gone
	default:
		return serve.StatusOf(ctx, err)
	}
}
