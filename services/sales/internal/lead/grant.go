package lead

import (
	"errors"

	"google.golang.org/protobuf/proto"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

// spending is what was spent of a grant, and not given back: the leads.
type spending map[string]bool

// grantDecider folds grant-<channel>:<interval>.
var grantDecider = decider.Decider[spending]{
	Initial: func() spending { return spending{} },
	Evolve: func(s spending, event proto.Message) spending {
		switch e := event.(type) {
		case *salesv1.CapacitySpent:
			s[e.GetLeadId()] = true
		case *salesv1.CapacityReturned:
			delete(s, e.GetLeadId())
		}
		return s
	},
}

// grantStream is the stream of a grant, <channel>:<interval>.
func grantStream(grant string) string { return "grant-" + grant }

// errSpent tells that a grant has nothing left.
var errSpent = errors.New("the grant is spent")

// spend takes one from a grant for a lead, once.
func spend(s spending, capacity uint32, leadID, customerID string) ([]proto.Message, error) {
	switch {
	case s[leadID]:
		return nil, nil
	case len(s) >= int(capacity):
		return nil, errSpent
	}
	return []proto.Message{&salesv1.CapacitySpent{LeadId: leadID, CustomerId: customerID}}, nil
}

// giveBack gives back what was spent for a lead that is not dispatched by the grant,
// and never will be.
func giveBack(s spending, leadID, customerID string) []proto.Message {
	if !s[leadID] {
		return nil
	}
	return []proto.Message{&salesv1.CapacityReturned{LeadId: leadID, CustomerId: customerID}}
}
