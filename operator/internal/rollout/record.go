package rollout

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
)

// Event is an event of a service's stream, at the store's time.
type Event struct {
	At      time.Time
	Message proto.Message
}

// Phase is how far the rollout of an image has come.
type Phase int

// The phases: see the package's diagram.
const (
	Idle Phase = iota
	Starting
	Observing
	Returning
)

// Record is what a service's stream says of its rollouts. The zero Record is that of
// a service that has never run.
type Record struct {
	// Good is the last image that was found good.
	Good string
	// Image is the one that is to serve: also while it is being rolled out, or after
	// it has failed and nothing could be done about it.
	Image string
	// Phase is how far the rollout has come, Since when it came there, and Began when
	// it began; both are the zero time when there is none.
	Phase        Phase
	Since, Began time.Time
	// Rolling is the image that is rolled out, or taken back, and Attempt what the
	// attempt is recognised by.
	Rolling, Attempt string
	// Stale are the flows that were staler than they ought to be when it began.
	Stale []string
	// Reason is why it is taken back.
	Reason string
	// Served are the images that have served since the last good one, and so may have
	// written: each once.
	Served []string
	// Failed are the attempts that failed, the latest first.
	Failed []Failure
}

// Failure is an attempt that failed.
type Failure struct {
	Image, Attempt string
	At             time.Time
	Reason         string
	// Held tells that the image serves still: the way back was closed.
	Held bool
}

// failed returns the failure of an attempt; nil when it did not fail.
func (r Record) failed(image, attempt string) *Failure {
	i := slices.IndexFunc(r.Failed, func(f Failure) bool { return f.Image == image && f.Attempt == attempt })
	if i < 0 {
		return nil
	}
	return &r.Failed[i]
}

// Fold makes the record of a service's events. It never fails: what does not fit is
// passed over.
func Fold(events []Event) Record {
	var r Record
	for _, e := range events {
		r = r.evolve(e)
	}
	return r
}

func (r Record) evolve(e Event) Record {
	switch m := e.Message.(type) {
	case *flowv1.RolloutBegan:
		r.Phase, r.Since, r.Began = Starting, e.At, e.At
		r.Image, r.Rolling, r.Attempt, r.Stale, r.Reason = m.GetImage(), m.GetImage(), m.GetAttempt(), m.GetStale(), ""
		if m.GetImage() != r.Good && !slices.Contains(r.Served, m.GetImage()) {
			r.Served = append(slices.Clone(r.Served), m.GetImage())
		}
	case *flowv1.RolloutServing:
		r.Phase, r.Since = Observing, e.At
	case *flowv1.RolloutReturned:
		r.Phase, r.Since, r.Image, r.Reason = Returning, e.At, m.GetGoodImage(), m.GetReason()
	case *flowv1.RolloutEnded:
		r = r.end(m, e.At)
	}
	return r
}

// failuresKept is how many failures stay on record.
const failuresKept = 10

func (r Record) end(m *flowv1.RolloutEnded, at time.Time) Record {
	switch m.GetOutcome() {
	case flowv1.RolloutOutcome_ROLLOUT_OUTCOME_GOOD:
		r.Good, r.Image, r.Served = r.Rolling, r.Rolling, nil
	case flowv1.RolloutOutcome_ROLLOUT_OUTCOME_RETURNED, flowv1.RolloutOutcome_ROLLOUT_OUTCOME_HELD:
		failure := Failure{
			Image: r.Rolling, Attempt: r.Attempt, At: at, Reason: m.GetReason(),
			Held: m.GetOutcome() == flowv1.RolloutOutcome_ROLLOUT_OUTCOME_HELD,
		}
		r.Failed = append([]Failure{failure}, r.Failed...)
		r.Failed = r.Failed[:min(len(r.Failed), failuresKept)]
	case flowv1.RolloutOutcome_ROLLOUT_OUTCOME_SUPERSEDED:
	}
	r.Phase, r.Since, r.Began, r.Rolling, r.Attempt, r.Stale, r.Reason = Idle, time.Time{}, time.Time{}, "", "", nil, ""
	return r
}
