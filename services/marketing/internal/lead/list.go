package lead

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

// listed is how many leads of a customer are listed.
const listed = 100

// ListLeadPlaces returns the leads that campaigns meant for a customer, and their
// places, from the customer's stream: always current.
func (a *API) ListLeadPlaces(
	ctx context.Context, req *marketingv1.ListLeadPlacesRequest,
) (*marketingv1.ListLeadPlacesResponse, error) {
	var checks call.Checks
	customer := checks.Required("customer_id", req.GetCustomerId())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	found, _, err := decider.Load(ctx, a.Streams, Stream(customer), told)
	if err != nil {
		return nil, fmt.Errorf("look up the leads of a customer: %w", err)
	}
	return &marketingv1.ListLeadPlacesResponse{Leads: found.latest(listed)}, nil
}

// tale is what is told of a customer's leads, by lead.
type tale map[string]*marketingv1.LeadPlace

// told folds the stream that Decider folds, and keeps what is told besides what is
// decided on.
var told = decider.Decider[tale]{Initial: func() tale { return tale{} }, Evolve: tell}

func tell(s tale, event proto.Message) tale {
	switch m := event.(type) {
	case *marketingv1.LeadPlaceHeld:
		for _, lead := range m.GetDisplaced() {
			s.of(lead).State, s.of(lead).DisplacedBy = marketingv1.PlaceState_PLACE_STATE_DISPLACED, m.GetLeadId()
		}
		s[m.GetLeadId()] = &marketingv1.LeadPlace{
			LeadId: m.GetLeadId(), CampaignId: m.GetCampaignId(), RunId: m.GetRunId(), Channel: m.GetChannel(), Priority: m.GetPriority(),
			At: m.GetAt(), State: marketingv1.PlaceState_PLACE_STATE_HELD,
		}
	case *marketingv1.LeadPlaceRefused:
		s[m.GetLeadId()] = &marketingv1.LeadPlace{
			LeadId: m.GetLeadId(), CampaignId: m.GetCampaignId(), RunId: m.GetRunId(), At: m.GetAt(),
			State: marketingv1.PlaceState_PLACE_STATE_REFUSED, Cap: m.GetCap(),
		}
	case *marketingv1.LeadPlaceTaken:
		s.of(m.GetLeadId()).State = marketingv1.PlaceState_PLACE_STATE_TAKEN
	case *marketingv1.LeadPlaceReleased:
		s.of(m.GetLeadId()).State = marketingv1.PlaceState_PLACE_STATE_RELEASED
	}
	return s
}

// of is a lead of the tale. One that was stopped before it had claimed a place is told
// of by its id alone.
func (s tale) of(lead string) *marketingv1.LeadPlace {
	if s[lead] == nil {
		s[lead] = &marketingv1.LeadPlace{LeadId: lead}
	}
	return s[lead]
}

// latest returns the last leads, the latest first.
func (s tale) latest(most int) []*marketingv1.LeadPlace {
	all := slices.SortedFunc(maps.Values(s), func(a, b *marketingv1.LeadPlace) int {
		return cmp.Or(b.GetAt().AsTime().Compare(a.GetAt().AsTime()), cmp.Compare(a.GetLeadId(), b.GetLeadId()))
	})
	return all[:min(most, len(all))]
}
