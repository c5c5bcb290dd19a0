package rollout_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/operator/internal/rollout"
)

// build is what an image reads and writes: sets of types, as bits.
type build struct{ reads, writes uint8 }

// environment is a world in which services are rolled out at random: what is true
// of it, whatever the plans say.
type environment struct {
	t        *rapid.T
	now      time.Time
	builds   map[string]build
	names    []string
	streams  map[string][]rollout.Event
	revision int // of the one stream that they are in
	services map[string]*truth
	seen     rollout.Observation
	attempts map[string]bool // service, image and attempt that have failed
}

type truth struct {
	wanted, attempt string
	announced       map[string]bool
	ready           bool
	calls, failed   uint64
	stale           bool
	written         uint8 // by all images that ever served
}

var walked = []string{"channel", "sales", "marketing"}

func newEnvironment(t *rapid.T) *environment {
	e := &environment{
		t: t, now: noon, builds: map[string]build{}, streams: map[string][]rollout.Event{},
		services: map[string]*truth{}, attempts: map[string]bool{},
	}
	for i := range 5 {
		writes := rapid.Uint8Range(0, 15).Draw(t, "writes")
		name := fmt.Sprint("image", i)
		e.builds[name], e.names = build{writes: writes, reads: writes | rapid.Uint8Range(0, 15).Draw(t, "reads")}, append(e.names, name)
	}
	for _, name := range walked {
		e.services[name] = &truth{wanted: e.names[0], attempt: "0", announced: map[string]bool{}}
	}
	return e
}

func (e *environment) lacks(of, image string) (lacks []string) {
	if image != "" && e.services[of].written&^e.builds[image].reads != 0 {
		lacks = []string{"does not read what is written"}
	}
	return lacks
}

// observe is what a leader sees now.
func (e *environment) observe() rollout.Observation {
	o := rollout.Observation{Reachable: e.seen.Reachable}
	for _, name := range walked {
		s, r := e.services[name], rollout.Fold(e.streams[name])
		seen := rollout.Service{
			Name: name, Wanted: s.wanted, Attempt: s.attempt, Record: r, Announced: s.announced[s.wanted],
			Lacks: e.lacks(name, s.wanted), GoodLacks: e.lacks(name, r.Good),
			Ready: s.ready, Calls: s.calls, Failed: s.failed, Told: true,
		}
		if s.stale {
			seen.Stale = []string{"a-flow"}
		}
		o.Services = append(o.Services, seen)
	}
	return o
}

// follow does what a plan says: its event is appended unless somebody else has
// written since the plan was made. Whatever comes of it is held against the truth.
func (e *environment) follow(plan rollout.Plan, revision int) {
	for _, w := range plan.Waits {
		if w.Message == "" || w.Reason == "" {
			e.t.Fatalf("%s waits for nothing that is told: %+v", w.Service, w)
		}
	}
	if plan.Tell == nil || revision != e.revision {
		return
	}
	e.revision++
	before := rollout.Fold(e.streams[plan.Of])
	e.streams[plan.Of] = append(e.streams[plan.Of], rollout.Event{At: e.now, Message: plan.Tell})
	after := rollout.Fold(e.streams[plan.Of])
	s := e.services[plan.Of]
	if after.Image != before.Image {
		if lacks := e.lacks(plan.Of, after.Image); lacks != nil {
			e.t.Fatalf("%s goes from %s to %s, which can't read what is written", plan.Of, before.Image, after.Image)
		}
		s.written |= e.builds[after.Image].writes
		s.ready, s.calls, s.failed = false, 0, 0
	}
	e.check(plan.Of, plan.Tell)
}

// check holds what was done against what must never be.
func (e *environment) check(of string, told proto.Message) {
	under := 0
	for _, name := range walked {
		if rollout.Fold(e.streams[name]).Phase != rollout.Idle {
			under++
		}
	}
	if under > 1 {
		e.t.Fatalf("%d services are rolled out at once", under)
	}
	switch m := told.(type) {
	case *flowv1.RolloutBegan:
		if e.attempts[of+m.GetImage()+"/"+m.GetAttempt()] {
			e.t.Fatalf("%s tries %s (%s) again, which failed", of, m.GetImage(), m.GetAttempt())
		}
		if !e.services[of].announced[m.GetImage()] {
			e.t.Fatalf("%s goes over to %s, which has announced nothing", of, m.GetImage())
		}
	case *flowv1.RolloutEnded:
		if m.GetOutcome() == back || m.GetOutcome() == held {
			failures := rollout.Fold(e.streams[of]).Failed
			if failures[0].Image != m.GetImage() || m.GetReason() == "" {
				e.t.Fatalf("the failure of %s is not on record: %+v", m.GetImage(), failures)
			}
			e.attempts[of+failures[0].Image+"/"+failures[0].Attempt] = true
		}
	}
}

// plan makes a plan of what is seen now, and notes what it was made of.
func (e *environment) plan() (plan rollout.Plan, revision int) {
	e.seen = e.observe()
	plan = rollout.Next(spec, e.seen, e.now)
	e.tellsOrWaits(plan)
	return plan, e.revision
}

// tellsOrWaits: a service that is not as it is wanted gets on, or says what it waits
// for.
func (e *environment) tellsOrWaits(plan rollout.Plan) {
	for _, s := range e.seen.Services {
		waits := slices.ContainsFunc(plan.Waits, func(w rollout.Wait) bool { return w.Service == s.Name })
		right := s.Record.Phase == rollout.Idle && s.Record.Good == s.Wanted && s.Record.Image == s.Wanted && s.Ready
		if !right && !waits && plan.Of != s.Name {
			e.t.Fatalf("%s is stuck: %+v; the plan is %+v", s.Name, s, plan)
		}
	}
	for _, w := range plan.Waits {
		if (w.Reason == rollout.ReasonStarting || w.Reason == rollout.ReasonObserving || w.Reason == rollout.ReasonReturning) && plan.Again.IsZero() {
			e.t.Fatalf("nobody looks again at %+v", w)
		}
	}
}

// happen lets something happen to a service.
func (e *environment) happen() {
	s := e.services[rapid.SampledFrom(walked).Draw(e.t, "service")]
	switch rapid.IntRange(0, 6).Draw(e.t, "event") {
	case 0:
		s.wanted = rapid.SampledFrom(e.names).Draw(e.t, "wanted")
	case 1:
		s.attempt += "'"
	case 2:
		s.announced[s.wanted] = true
	case 3:
		s.ready = rapid.Bool().Draw(e.t, "ready")
	case 4:
		s.calls += rapid.Uint64Range(0, 100).Draw(e.t, "calls")
		s.failed += rapid.Uint64Range(0, 1).Draw(e.t, "failed")
	case 5:
		s.stale = rapid.Bool().Draw(e.t, "stale")
	case 6:
		e.seen.Reachable = e.now
	}
	e.now = e.now.Add(time.Duration(rapid.IntRange(0, 5).Draw(e.t, "minutes")) * time.Minute)
}

// Whatever happens, and however late plans are followed, also those of a leader that
// was deposed: one service at a time, never an image that can't read what is there,
// no failed attempt again, and no state without a next step.
func TestARolloutNeverGoesWrong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := newEnvironment(t)
		var late rollout.Plan
		lateOf := 0
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			e.happen()
			plan, made := e.plan()
			switch rapid.IntRange(0, 3).Draw(t, "follow") {
			case 0: // the operator dies before it has followed the plan
			case 1: // a leader that was deposed wakes up
				e.follow(late, lateOf)
			default:
				e.follow(plan, made)
			}
			late, lateOf = plan, made
		}
		e.settle()
	})
}

// settle lets the world stand still, for better or worse: every rollout ends.
func (e *environment) settle() {
	well := rapid.Bool().Draw(e.t, "well")
	for range 200 {
		for _, s := range e.services {
			s.announced[s.wanted] = s.announced[s.wanted] || well
			s.ready, s.stale, s.failed = well, false, 0
		}
		plan, made := e.plan()
		if plan.Tell == nil && plan.Again.IsZero() {
			e.settled(well)
			return
		}
		e.follow(plan, made)
		e.now = e.now.Add(11 * time.Minute)
	}
	e.t.Fatal("it never ends")
}

// settled: where all is well each service has what is wanted, or it is somebody's
// turn.
func (e *environment) settled(well bool) {
	for _, s := range e.observe().Services {
		if s.Record.Phase != rollout.Idle {
			e.t.Fatalf("%s is still on its way: %+v", s.Name, s.Record)
		}
		failed := e.attempts[s.Name+s.Wanted+"/"+s.Attempt]
		if well && s.Record.Good != s.Wanted && !failed && len(s.Lacks) == 0 {
			e.t.Fatalf("%s has %s, not %s: %+v", s.Name, s.Record.Good, s.Wanted, s)
		}
	}
}
