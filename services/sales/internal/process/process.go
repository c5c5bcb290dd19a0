// Package process is the commercial processes, declared as data: the steps of
// each, their order, and who takes an instance there. Request management moves
// requests by them, and the chain-control report tells how they go:
//
//	own events ─▶ rows, one for each step that an instance has come to ─▶ report
//
// An instance only moves forward, and may skip steps: what is told of it comes
// over flows at paces of their own.
package process

import (
	"slices"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
)

// Mover is who takes an instance to a step.
type Mover string

// The movers.
const (
	Channel        Mover = "channel"
	Marketing      Mover = "marketing"
	LeadManagement Mover = "lead management"
	CRM            Mover = "CRM"
	BackOffice     Mover = "back office"
	Employee       Mover = "employee"
	Customer       Mover = "customer"
)

// Step is a step of a process.
type Step struct {
	// Name names the step, for good: events tell it.
	Name string
	// MovedBy is who takes an instance here.
	MovedBy []Mover
	// Status is that of a request which is here.
	Status journeyv1.RequestStatus
	// Ends tells that the process ends here, for all that is known.
	Ends bool
}

// Process is the steps of a commercial process, in their order.
type Process struct {
	// Name names the process, for good.
	Name  string
	Steps []Step
}

// All lists every process.
var All = []Process{quote, service, complaint, lead, sale}

// Find returns the process with the name.
func Find(name string) (Process, bool) {
	i := slices.IndexFunc(All, func(p Process) bool { return p.Name == name })
	if i < 0 {
		return Process{}, false
	}
	return All[i], true
}

// Place is where a step stands in the order; -1 when it is none of the process's.
func (p Process) Place(step string) int {
	return slices.IndexFunc(p.Steps, func(s Step) bool { return s.Name == step })
}

// Of is the process of a request, by what is asked for.
func Of(kind journeyv1.RequestKind) Process {
	switch kind {
	case journeyv1.RequestKind_REQUEST_KIND_QUOTE:
		return quote
	case journeyv1.RequestKind_REQUEST_KIND_COMPLAINT:
		return complaint
	default:
		return service
	}
}

// Move is the step that a mover takes a request to which stands at a step and is
// to have a status: the first one behind it that has the status, and to which the
// mover may take it. moves is false when there is none: the request is there, or
// further, or it is not this mover's turn.
func (p Process) Move(from string, to journeyv1.RequestStatus, by Mover) (step Step, moves bool) {
	for _, s := range p.Steps[p.Place(from)+1:] {
		if s.Status == to && slices.Contains(s.MovedBy, by) {
			return s, true
		}
	}
	return Step{}, false
}

// At is the step of a request that has come to a status for so many times, which
// is what events told before they named steps.
func (p Process) At(status journeyv1.RequestStatus, times int) string {
	name := ""
	for _, s := range p.Steps {
		if s.Status == status && times > 0 {
			name = s.Name
			times--
		}
	}
	return name
}
