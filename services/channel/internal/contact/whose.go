package contact

import (
	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// command is what is decided on a contact.
type command interface {
	Decide(State) ([]proto.Message, error)
}

// By is a command of a visitor, as far as the channel knows who it is: in a contact
// of somebody else's it is refused. An id that leaks, or is mistaken for another
// one, must not put words into a visitor's mouth.
type By struct {
	VisitorID, CustomerID string // empty: the channel does not say
	Command               command
}

// Decide decides it.
func (c By) Decide(s State) ([]proto.Message, error) {
	other := c.VisitorID != "" && c.VisitorID != s.VisitorID || c.CustomerID != "" && c.CustomerID != s.CustomerID
	if s.ID != "" && other {
		return nil, fault.Precondition("the contact is not this visitor's: take the step in one of their own").WithReason("CONTACT_OF_SOMEBODY_ELSE")
	}
	return c.Command.Decide(s)
}

// CheckVisitor looks over who takes a step. What it returns lacks the Command.
func CheckVisitor(checks *call.Checks, v *channelv1.Visitor) By {
	return By{
		VisitorID:  checks.Optional("visitor.visitor_id", v.GetVisitorId()),
		CustomerID: checks.Optional("visitor.customer_id", v.GetCustomerId()),
	}
}

// Takes is the command as the visitor's.
func (c By) Takes(step command) By {
	c.Command = step
	return c
}
