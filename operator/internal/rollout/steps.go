package rollout

import (
	"fmt"
	"slices"
	"strings"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
)

// The reasons for which a service waits.
const (
	ReasonAnnouncing  = "AnnouncingContract"
	ReasonNoContract  = "NoContract"
	ReasonUnreadable  = "CannotReadWhatIsWritten"
	ReasonQueued      = "WaitsForAnother"
	ReasonStarting    = "Starting"
	ReasonObserving   = "Observing"
	ReasonReturning   = "Returning"
	ReasonImageFailed = "ImageFailed"
	ReasonHeld        = "Held"
	ReasonNotReady    = "NotReady"
)

// consider looks at a service of which no rollout is under way; busy: one of another
// service's is.
func (p *planner) consider(s Service, busy bool) {
	r := s.Record
	failure := r.failed(s.Wanted, s.Attempt)
	switch {
	case r.Image == s.Wanted && failure == nil && r.Good == s.Wanted:
		if !s.Ready {
			p.wait(s, ReasonNotReady, fmt.Sprintf("%s is not ready%s", s.Name, because(s.Trouble)), false)
		}
	case failure != nil && failure.Held:
		p.wait(s, ReasonHeld, fmt.Sprintf("%s stays at %s, which failed: %s; %s", s.Name, r.Image, failure.Reason, p.retry(s)), true)
	case failure != nil:
		p.wait(s, ReasonImageFailed, fmt.Sprintf("%s went back to %s, as %s failed: %s; %s", s.Name, r.Image, s.Wanted, failure.Reason, p.retry(s)), true)
	case !s.Announced:
		p.announce(s)
	case len(s.Lacks) > 0:
		p.wait(s, ReasonUnreadable, fmt.Sprintf("%s can't go over to %s, which %s: name an image that reads it", s.Name, s.Wanted, strings.Join(s.Lacks, ", ")), true)
	case busy || p.plan.Tell != nil:
		p.wait(s, ReasonQueued, s.Name+" waits until another service's rollout has ended", false)
	default:
		p.tell(s, &flowv1.RolloutBegan{Service: s.Name, Image: s.Wanted, Attempt: s.Attempt, By: p.spec.By, Stale: s.Stale})
	}
}

func (p *planner) announce(s Service) {
	p.plan.Announce = append(p.plan.Announce, s.Name)
	if s.AnnouncingFailed != "" {
		p.wait(s, ReasonNoContract, fmt.Sprintf("the image %s announces no contract: %s; see the logs of its Job, and name an image of %s-support of this suite", s.Wanted, s.AnnouncingFailed, s.Name), true)
		return
	}
	p.wait(s, ReasonAnnouncing, fmt.Sprintf("%s waits for %s to announce its contract", s.Name, s.Wanted), false)
}

// goOn goes on with the rollout that is under way.
func (p *planner) goOn(s Service) {
	switch s.Record.Phase {
	case Idle:
	case Returning:
		p.returning(s)
	case Starting, Observing:
		switch {
		case p.superseded(s):
		case s.Record.Phase == Starting:
			p.starting(s)
		default:
			p.observing(s)
		}
	}
}

// superseded ends the rollout of an image when another one is wanted that can take
// over. The first has failed nothing; but what it wrote counts, so it is among those
// that have served. As long as the other one can't, the first is judged as any.
func (p *planner) superseded(s Service) bool {
	switch {
	case s.Wanted == s.Record.Rolling:
		return false
	case !s.Announced:
		p.announce(s)
		return false
	case len(s.Lacks) > 0 || s.Record.failed(s.Wanted, s.Attempt) != nil:
		return false
	}
	p.end(s, flowv1.RolloutOutcome_ROLLOUT_OUTCOME_SUPERSEDED, "the spec names "+s.Wanted+" meanwhile")
	return true
}

func (p *planner) starting(s Service) {
	due := p.due(s.Record.Since, p.spec.Deadline)
	switch {
	case s.Ready && s.Record.Good == "": // nothing served before, so there is nothing to compare with
		p.end(s, flowv1.RolloutOutcome_ROLLOUT_OUTCOME_GOOD, "")
	case s.Ready:
		p.tell(s, &flowv1.RolloutServing{Service: s.Name, Image: s.Record.Rolling})
	case !p.now.Before(due):
		p.fail(s, fmt.Sprintf("it was not ready within %s%s", p.spec.Deadline, because(s.Trouble)))
	default:
		p.lookAgain(due)
		p.wait(s, ReasonStarting, fmt.Sprintf("%s waits for %s to be ready%s", s.Name, s.Record.Rolling, because(s.Trouble)), false)
	}
}

// manyCalls is from how many calls on a share of them says something before the time
// of observation is up.
const manyCalls = 50

func (p *planner) observing(s Service) {
	up := p.due(s.Record.Since, p.spec.Observe)
	due := up.Add(p.spec.Deadline)
	enough := !p.now.Before(up)
	wrong := p.wrong(s)
	switch {
	case p.errorsOver(s) && (enough || s.Calls >= manyCalls):
		p.fail(s, fmt.Sprintf("%d of its %d calls failed, more than %g%%", s.Failed, s.Calls, p.spec.MaxErrorPercent))
	case enough && wrong == "":
		p.end(s, flowv1.RolloutOutcome_ROLLOUT_OUTCOME_GOOD, "")
	case !p.now.Before(due):
		p.fail(s, wrong)
	case !enough:
		p.lookAgain(up)
		p.wait(s, ReasonObserving, fmt.Sprintf("%s is ready with %s, and is watched for %s", s.Name, s.Record.Rolling, p.spec.Observe), false)
	default:
		p.lookAgain(due)
		p.wait(s, ReasonObserving, fmt.Sprintf("%s is watched on with %s, as %s", s.Name, s.Record.Rolling, wrong), false)
	}
}

func (p *planner) errorsOver(s Service) bool {
	return s.Failed > 0 && float64(s.Failed) > float64(s.Calls)*p.spec.MaxErrorPercent/100
}

// wrong tells what is not as it was before, and may yet become so.
func (p *planner) wrong(s Service) string {
	var late []string
	for _, flow := range s.Stale {
		if !slices.Contains(s.Record.Stale, flow) {
			late = append(late, flow)
		}
	}
	switch {
	case !s.Ready:
		return "it is not ready any more" + because(s.Trouble)
	case !s.Told:
		return "no replica of it has told how its calls end"
	case len(late) > 0:
		return "it takes in " + strings.Join(late, ", ") + " later than it ought to, and did not before"
	default:
		return ""
	}
}

// fail takes an image back, if the way back is open.
func (p *planner) fail(s Service, reason string) {
	good := s.Record.Good
	switch {
	case good == "":
		p.end(s, flowv1.RolloutOutcome_ROLLOUT_OUTCOME_HELD, reason+"; there is no image to go back to")
	case good == s.Record.Rolling:
		p.end(s, flowv1.RolloutOutcome_ROLLOUT_OUTCOME_HELD, reason+"; it is the last good image itself")
	case p.spec.Hold:
		p.end(s, flowv1.RolloutOutcome_ROLLOUT_OUTCOME_HELD, reason+"; spec.rollout.onFailure is Hold")
	case len(s.GoodLacks) > 0:
		p.end(s, flowv1.RolloutOutcome_ROLLOUT_OUTCOME_HELD,
			fmt.Sprintf("%s; the way back is closed, as %s %s", reason, good, strings.Join(s.GoodLacks, ", ")))
	default:
		p.tell(s, &flowv1.RolloutReturned{Service: s.Name, Image: s.Record.Rolling, GoodImage: good, Reason: reason})
	}
}

// returning ends when the last good image is ready, or its time is up: then the way
// is free for whoever repairs it.
func (p *planner) returning(s Service) {
	due := p.due(s.Record.Since, p.spec.Deadline)
	switch {
	case s.Ready:
		p.end(s, flowv1.RolloutOutcome_ROLLOUT_OUTCOME_RETURNED, s.Record.Reason)
	case !p.now.Before(due):
		p.end(s, flowv1.RolloutOutcome_ROLLOUT_OUTCOME_RETURNED,
			fmt.Sprintf("%s; and %s was not ready again within %s%s", s.Record.Reason, s.Record.Image, p.spec.Deadline, because(s.Trouble)))
	default:
		p.lookAgain(due)
		p.wait(s, ReasonReturning, fmt.Sprintf("%s goes back to %s, as %s failed: %s", s.Name, s.Record.Image, s.Record.Rolling, s.Record.Reason), false)
	}
}

func because(trouble string) string {
	if trouble == "" {
		return ""
	}
	return " (" + trouble + ")"
}

// retry says how to go on after a failure.
func (p *planner) retry(s Service) string {
	return fmt.Sprintf("name another image in spec.%s.image, or have it tried again: kubectl annotate --overwrite triangle %s triangle.dev/retry=\"$(date -u +%%FT%%TZ)\"", s.Name, p.spec.Name)
}
