package lead

import (
	"errors"

	"google.golang.org/protobuf/proto"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

// spending is what was spent of a grant: the leads.
type spending map[string]bool

// grantDecider folds grant-<channel>:<interval>.
var grantDecider = decider.Decider[spending]{
	Initial: func() spending { return spending{} },
	Evolve: func(s spending, event proto.Message) spending {
		if e, ok := event.(*salesv1.CapacitySpent); ok {
			s[e.GetLeadId()] = true
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
