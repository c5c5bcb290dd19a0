package lead

import (
	"cmp"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

// Stream is the stream of a customer's places.
func Stream(customer string) string { return "places-" + customer }

// Stand is where a lead stands.
type Stand int

// The stands. Gone is a lead that was refused, was displaced or gave its place back:
// it gets none any more.
const (
	Unknown Stand = iota
	Held
	Taken
	Gone
)

// Claim asks for a place.
type Claim struct {
	LeadID, CustomerID, CampaignID, RunID string
	Channel                               journeyv1.Channel
	Priority                              uint32
	// At is the time of the lead.
	At time.Time
	// Once is how long the campaign leaves a customer alone whom it has approached.
	Once time.Duration
}

// place is what a claim has come to.
type place struct {
	id       string
	campaign string
	channel  journeyv1.Channel
	priority uint32
	at       time.Time
	stand    Stand
}

// Places are a customer's, by lead.
type Places map[string]place

// Of tells where a lead stands.
func (s Places) Of(lead string) Stand { return s[lead].stand }

// Decider is the pure core of a customer's places.
var Decider = decider.Decider[Places]{
	Initial: func() Places { return Places{} },
	Evolve:  Evolve,
}

// Evolve records an event.
func Evolve(s Places, event proto.Message) Places {
	switch m := event.(type) {
	case *marketingv1.LeadPlaceHeld:
		for _, lead := range m.GetDisplaced() {
			s.move(lead, Gone)
		}
		s[m.GetLeadId()] = place{
			id: m.GetLeadId(), campaign: m.GetCampaignId(), channel: m.GetChannel(), priority: m.GetPriority(),
			at: m.GetAt().AsTime(), stand: Held,
		}
	case *marketingv1.LeadPlaceTaken:
		s.move(m.GetLeadId(), Taken)
	case *marketingv1.LeadPlaceRefused:
		s.move(m.GetLeadId(), Gone)
	case *marketingv1.LeadPlaceReleased:
		s.move(m.GetLeadId(), Gone)
	}
	return s
}

func (s Places) move(lead string, to Stand) {
	p := s[lead]
	p.id, p.stand = lead, to
	s[lead] = p
}

// Hold gives a claim its place, if there is one under the caps.
func Hold(s Places, c Claim, caps []*marketingv1.LeadCap) []proto.Message {
	if s.Of(c.LeadID) != Unknown {
		return nil
	}
	if s.approached(c) {
		return refuse(c, nil)
	}
	displaced, full := s.room(c, caps)
	if full != nil {
		return refuse(c, full)
	}
	return []proto.Message{&marketingv1.LeadPlaceHeld{
		LeadId: c.LeadID, CustomerId: c.CustomerID, CampaignId: c.CampaignID, RunId: c.RunID, Channel: c.Channel,
		Priority: c.Priority, At: timestamppb.New(c.At), Displaced: displaced,
	}}
}

func refuse(c Claim, full *marketingv1.LeadCap) []proto.Message {
	return []proto.Message{&marketingv1.LeadPlaceRefused{
		LeadId: c.LeadID, CustomerId: c.CustomerID, CampaignId: c.CampaignID, RunId: c.RunID, Cap: full, At: timestamppb.New(c.At),
	}}
}

// Take gives a lead the place that it holds for good.
func Take(s Places, lead, customer string) []proto.Message {
	if s.Of(lead) != Held {
		return nil
	}
	return []proto.Message{&marketingv1.LeadPlaceTaken{LeadId: lead, CustomerId: customer}}
}

// Release gives back the place of a lead that is not issued. A lead without one
// gets none from then on.
func Release(s Places, lead, customer string) []proto.Message {
	if s.Of(lead) == Gone {
		return nil
	}
	return []proto.Message{&marketingv1.LeadPlaceReleased{LeadId: lead, CustomerId: customer}}
}

// approached tells whether the campaign must leave the customer alone.
func (s Places) approached(c Claim) bool {
	for _, p := range s {
		if p.counts() && p.campaign == c.CampaignID && p.at.Sub(c.At).Abs() < c.Once {
			return true
		}
	}
	return false
}

func (p place) counts() bool { return p.stand == Held || p.stand == Taken }

// room finds who is displaced by a claim, or the cap that leaves no place. Held
// places of a lower priority keep theirs as far as there is room beside the claim,
// the highest priority first.
func (s Places) room(c Claim, caps []*marketingv1.LeadCap) (displaced []string, full *marketingv1.LeadCap) {
	var firm, weaker []place
	for _, p := range s {
		switch {
		case p.stand == Held && p.priority < c.Priority:
			weaker = append(weaker, p)
		case p.counts():
			firm = append(firm, p)
		}
	}
	claimed := place{channel: c.Channel, at: c.At}
	if full = exceeded(caps, claimed.channel, claimed.at, firm...); full != nil {
		return nil, full
	}
	slices.SortFunc(weaker, func(a, b place) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), a.at.Compare(b.at), cmp.Compare(a.id, b.id))
	})
	keep := append(firm, claimed)
	for _, p := range weaker {
		if exceeded(caps, p.channel, p.at, keep...) != nil {
			displaced = append(displaced, p.id)
			continue
		}
		keep = append(keep, p)
	}
	slices.Sort(displaced)
	return displaced, nil
}

// exceeded returns the cap that one more lead would exceed, beside those that have
// their places; nil when there is none. A cap bounds any hours that follow each
// other, so leads may be decided on in another order than that of their times.
func exceeded(caps []*marketingv1.LeadCap, channel journeyv1.Channel, at time.Time, beside ...place) *marketingv1.LeadCap {
	for _, c := range caps {
		if c.GetChannel() != journeyv1.Channel_CHANNEL_UNSPECIFIED && c.GetChannel() != channel {
			continue
		}
		times := []time.Time{at}
		for _, p := range beside {
			if c.GetChannel() == journeyv1.Channel_CHANNEL_UNSPECIFIED || c.GetChannel() == p.channel {
				times = append(times, p.at)
			}
		}
		if busiest(times, at, time.Duration(c.GetHours())*time.Hour) > int(c.GetMost()) {
			return c
		}
	}
	return nil
}

// busiest counts the times in the stretch of a length that holds most of them, among
// those stretches that hold a time.
func busiest(times []time.Time, holds time.Time, length time.Duration) (most int) {
	for _, begin := range times {
		end := begin.Add(length)
		if begin.After(holds) || !holds.Before(end) {
			continue
		}
		n := 0
		for _, t := range times {
			if !t.Before(begin) && t.Before(end) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}
