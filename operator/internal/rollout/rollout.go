// Package rollout decides how an environment's services come to the images that its
// spec names: one service at a time, with a way back. It is pure: the same spec,
// observation and time always give the same plan.
//
//	           contract announced, reads all that is written
//	Idle ───────────────────────────▶ Starting ──ready──▶ Observing ──well for a while──▶ Idle: good
//	 ▲                                   │ deadline           │ errors, staleness
//	 │                                   ▼                    ▼
//	 │            the last good image reads all that was written since?
//	 │                    │ yes                       │ no, or there is none
//	 └──ready, or not─────┴── Returning               └──▶ Idle: held, it is somebody's turn
//
// What else a spec changes is applied at once, with the image that serves.
//
// Each arrow is an event on the stream of rollouts, and a plan has at most one. What
// is remembered is in those events alone.
package rollout

import (
	"time"

	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
)

// Spec is how images are brought in.
type Spec struct {
	// Name is the Triangle's, for who is told what to do.
	Name string
	// Deadline is within what time a service has to be ready.
	Deadline time.Duration
	// Observe is for how long it is watched after that.
	Observe time.Duration
	// MaxErrorPercent is how many of its calls may fail meanwhile.
	MaxErrorPercent float64
	// Hold tells that nothing goes back by itself.
	Hold bool
	// By is who rolls out.
	By string
}

// Observation is what is known of the services, in the order in which they are
// rolled out.
type Observation struct {
	// Reachable is since when the store could be reached without a break. What was
	// not seen counts for nothing: no deadline began before it.
	Reachable time.Time
	Services  []Service
}

// Service is what is known of a service.
type Service struct {
	Name string
	// Wanted is the spec's image, and Attempt what an attempt to bring it in is
	// recognised by: one that failed is not made again.
	Wanted, Attempt string
	// Record is what the service's stream says.
	Record Record
	// Announced tells whether the wanted image has announced its contract, and
	// AnnouncingFailed why its Job has not; empty while that may come.
	Announced        bool
	AnnouncingFailed string
	// Lacks is what the wanted image can't read of what may have been written, and
	// GoodLacks what the last good one can't.
	Lacks, GoodLacks []string
	// Ready tells whether all replicas serve with Record.Image, and Trouble what keeps
	// them from it, as far as the cluster tells.
	Ready   bool
	Trouble string
	// Calls is how many calls the replicas with the image that is rolled out have
	// answered, and Failed how many of them failed; Told tells that one has told.
	Calls, Failed uint64
	Told          bool
	// Stale are the flows into the service that are staler than they ought to be.
	Stale []string
}

// Plan is what to do now. Serving goes on as the records say, whatever else is done.
type Plan struct {
	// Announce are the services whose wanted image is to announce its contract.
	Announce []string
	// Tell is the event to append to the stream of the service Of; nil: none.
	Tell proto.Message
	Of   string
	// Waits tell, per service that is not as it is wanted, what it waits for.
	Waits []Wait
	// Again is when to look again, though nothing changes; the zero time: no need.
	Again time.Time
	// Settled tells that no rollout is under way: types may be activated.
	Settled bool
}

// Wait is what a service waits for.
type Wait struct {
	Service string
	// Reason is a word for it, and Message says it, and what to do if it is
	// somebody's turn: then Stalled is true.
	Reason, Message string
	Stalled         bool
}

// Next returns what to do at now.
func Next(spec Spec, seen Observation, now time.Time) Plan {
	p := planner{spec: spec, seen: seen, now: now}
	rolling := -1
	for i, s := range seen.Services {
		if s.Record.Phase != Idle {
			rolling = i
			break
		}
	}
	if rolling >= 0 {
		p.goOn(seen.Services[rolling])
	}
	for i, s := range seen.Services {
		if i != rolling {
			p.consider(s, rolling >= 0)
		}
	}
	p.plan.Settled = rolling < 0 && p.plan.Tell == nil
	return p.plan
}

// planner is a plan that is being made.
type planner struct {
	spec Spec
	seen Observation
	now  time.Time
	plan Plan
}

func (p *planner) tell(s Service, m proto.Message) { p.plan.Tell, p.plan.Of = m, s.Name }

func (p *planner) wait(s Service, reason, message string, stalled bool) {
	p.plan.Waits = append(p.plan.Waits, Wait{Service: s.Name, Reason: reason, Message: message, Stalled: stalled})
}

func (p *planner) lookAgain(at time.Time) {
	if p.plan.Again.IsZero() || at.Before(p.plan.Again) {
		p.plan.Again = at
	}
}

// end ends the rollout of a service.
func (p *planner) end(s Service, outcome flowv1.RolloutOutcome, reason string) {
	p.tell(s, &flowv1.RolloutEnded{Service: s.Name, Image: s.Record.Rolling, Outcome: outcome, Reason: reason})
}

// due returns when a time after since is up: counted from when the store could be
// reached, if that is later.
func (p *planner) due(since time.Time, after time.Duration) time.Time {
	if p.seen.Reachable.After(since) {
		since = p.seen.Reachable
	}
	return since.Add(after)
}
