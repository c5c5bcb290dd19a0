package nba

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
)

// memory is a naive twin of the tables: a list of all that each subject did, in
// order, looked through from one end to the other for every question.
type memory struct {
	done     map[string][]proto.Message // by customer, or by contact while unknown
	customer map[string]string          // by contact
	learned  map[string][]Tally         // by proposition
	leads    map[string]int             // 1 for what was presented, 2 for what was accepted, by lead
	open     map[[2]string]Situation    // the last presentation that was not accepted, by contact and proposition
}

func newMemory() *memory {
	return &memory{
		done: map[string][]proto.Message{}, customer: map[string]string{},
		leads: map[string]int{}, learned: map[string][]Tally{}, open: map[[2]string]Situation{},
	}
}

func (n *memory) subject(contact string) string {
	if n.customer[contact] != "" {
		return n.customer[contact]
	}
	return contact
}

func (n *memory) take(m proto.Message) {
	switch m := m.(type) {
	case *marketingv1.LeadPresented:
		n.leads[m.GetLeadId()] |= 1
		return
	case *marketingv1.LeadResponseRecorded:
		if m.GetAnswer() == journeyv1.Answer_ANSWER_ACCEPTED {
			n.leads[m.GetLeadId()] |= 2
		}
		return
	}
	contact, customer := subjects(m)
	if customer != "" && customer != n.customer[contact] {
		n.join(contact, customer)
	}
	switch m := m.(type) {
	case *channelv1.PropositionPresented:
		s := n.situation(contact, m.GetPropositionId())
		n.learn(m.GetPropositionId(), Tally{s, 1, 0})
		n.open[[2]string{contact, m.GetPropositionId()}] = s
	case *channelv1.PropositionAnswered:
		at := [2]string{contact, m.GetPropositionId()}
		if s, presented := n.open[at]; presented && m.GetAnswer() == journeyv1.Answer_ANSWER_ACCEPTED {
			n.learn(m.GetPropositionId(), Tally{s, 0, 1})
			delete(n.open, at)
		}
	}
	n.done[n.subject(contact)] = append(n.done[n.subject(contact)], m)
}

// join moves what was done in a contact to the end of what the customer did.
func (n *memory) join(contact, customer string) {
	before := n.subject(contact)
	var moved, left []proto.Message
	for _, m := range n.done[before] {
		if of, _ := subjects(m); of == contact {
			moved = append(moved, m)
		} else {
			left = append(left, m)
		}
	}
	n.done[before] = left
	n.customer[contact] = customer
	n.done[customer] = append(n.done[customer], moved...)
}

func (n *memory) learn(proposition string, more Tally) {
	for i, t := range n.learned[proposition] {
		if t.Situation == more.Situation {
			n.learned[proposition][i] = Tally{t.Situation, t.Presented + more.Presented, t.Accepted + more.Accepted}
			return
		}
	}
	n.learned[proposition] = append(n.learned[proposition], more)
	slices.SortFunc(n.learned[proposition], func(a, b Tally) int { return int(a.Situation) - int(b.Situation) })
}

// channel is the one that the contact is in; those of the story begin by e-mail,
// which is unmanned.
func (n *memory) channel(contact string) journeyv1.Channel {
	for _, m := range slices.Backward(n.done[n.subject(contact)]) {
		if m, ok := m.(*channelv1.ContactHandedOver); ok && m.GetContactId() == contact {
			return m.GetTo()
		}
	}
	return journeyv1.Channel_CHANNEL_EMAIL
}

// situation is told by what was done in the contact so far.
func (n *memory) situation(contact, proposition string) (s Situation) {
	if n.channel(contact) == journeyv1.Channel_CHANNEL_CALL_CENTRE {
		s |= Manned
	}
	for _, m := range n.done[n.subject(contact)] {
		if of, _ := subjects(m); of != contact {
			continue
		}
		switch m := m.(type) {
		case *channelv1.InterestShown, *channelv1.BannerClicked:
			s |= Engaged
		case *channelv1.PropositionPresented:
			if m.GetPropositionId() == proposition {
				s |= Again
			}
		}
	}
	return s
}

// answers returns the last answer of a customer to a proposition, and the last
// within the contact.
func (n *memory) answers(contact, customer, proposition string) (last, here journeyv1.Answer) {
	for _, m := range n.done[customer] {
		var answer journeyv1.Answer
		switch m := m.(type) {
		case *channelv1.PropositionAnswered:
			if m.GetPropositionId() == proposition {
				answer = m.GetAnswer()
			}
		case *channelv1.LeadResponseReceived:
			if m.GetLeadId() == "lead-of-"+proposition {
				answer = m.GetAnswer()
			}
		}
		if answer == 0 {
			continue
		}
		last = answer
		if of, _ := subjects(m); of == contact {
			here = answer
		}
	}
	return last, here
}

// unanswered counts how often a customer was presented a proposition since they last
// answered to it, or to a lead that offered it.
func (n *memory) unanswered(customer, proposition string) (times uint64) {
	for _, m := range n.done[customer] {
		switch m := m.(type) {
		case *channelv1.PropositionPresented:
			if m.GetPropositionId() == proposition {
				times++
			}
		case *channelv1.PropositionAnswered:
			if m.GetPropositionId() == proposition {
				times = 0
			}
		case *channelv1.LeadResponseReceived:
			if m.GetLeadId() == "lead-of-"+proposition {
				times = 0
			}
		}
	}
	return times
}

func (n *memory) interests(customer string) []string {
	interests := []string{}
	for _, m := range slices.Backward(n.done[customer]) {
		var topic string
		switch m := m.(type) {
		case *channelv1.InterestShown:
			topic = m.GetTopic()
		case *channelv1.BannerClicked:
			topic = "topic of " + m.GetPropositionId()
		}
		if topic != "" && !slices.Contains(interests, topic) {
			interests = append(interests, topic)
		}
	}
	return interests
}

// tallies are what was learned in contacts, and of the lead, which is by e-mail and
// counts once it was presented.
func (n *memory) tallies(proposition string) []Tally {
	came := n.leads["lead-of-"+proposition]
	if came&1 == 0 {
		return n.learned[proposition]
	}
	return append(slices.Clone(n.learned[proposition]), Tally{Outbound, 1, uint64(came >> 1)})
}

var offers = []string{"p1", "p2", "p3"}

func (n *memory) features(contact, customer string) Features {
	f := Features{Contact: contact, Customer: customer, Channel: n.channel(contact).String(), Interests: n.interests(customer)}
	f.Arbitration = Rules{Exploration: "EXPLORATION_THOMPSON", ControlShare: 0.05}
	for _, id := range offers {
		last, here := n.answers(contact, customer, id)
		o := Offered{
			ID: id, Purpose: "PURPOSE_SALES", Topic: "topic of " + id, ValueCents: 100, Lever: 1, HasContent: n.channel(contact) == journeyv1.Channel_CHANNEL_EMAIL,
			Situation: n.situation(contact, id), Learned: n.tallies(id),
			RejectedHere: here == journeyv1.Answer_ANSWER_REJECTED,
		}
		if last != 0 {
			o.LastAnswer = last.String()
		}
		o.Unanswered = n.unanswered(customer, id)
		f.Propositions = append(f.Propositions, o)
	}
	return f
}

func TestGatheredFeaturesAgreeWithANaiveTwin(t *testing.T) {
	contacts, customers := []string{"c1", "c2", "c3", "c4"}, []string{"anna", "bert"}
	happening := rapid.Custom(func(t *rapid.T) proto.Message {
		contact := rapid.SampledFrom(contacts).Draw(t, "contact")
		customer := rapid.SampledFrom([]string{"", "", "", "anna", "bert"}).Draw(t, "customer")
		offer := rapid.SampledFrom(offers).Draw(t, "offer")
		answer := journeyv1.Answer(rapid.Int32Range(1, 3).Draw(t, "answer"))
		switch rapid.IntRange(0, 9).Draw(t, "what") {
		case 0:
			return &channelv1.ContactStarted{ContactId: contact, CustomerId: customer, Channel: journeyv1.Channel_CHANNEL_EMAIL}
		case 1:
			return &channelv1.VisitorIdentified{ContactId: contact, CustomerId: rapid.SampledFrom(customers).Draw(t, "who")}
		case 2:
			return &channelv1.PropositionPresented{ContactId: contact, CustomerId: customer, PropositionId: offer}
		case 3:
			return &channelv1.PropositionAnswered{ContactId: contact, CustomerId: customer, PropositionId: offer, Answer: answer}
		case 4:
			return &channelv1.InterestShown{ContactId: contact, CustomerId: customer, Topic: rapid.SampledFrom([]string{"a", "b", "topic of p1"}).Draw(t, "topic")}
		case 5:
			return &channelv1.BannerClicked{ContactId: contact, CustomerId: customer, PropositionId: offer}
		case 7:
			return &marketingv1.LeadPresented{LeadId: "lead-of-" + offer, CustomerId: customer}
		case 8:
			return &marketingv1.LeadResponseRecorded{LeadId: "lead-of-" + offer, CustomerId: customer, Answer: answer}
		case 9:
			to := rapid.SampledFrom([]journeyv1.Channel{journeyv1.Channel_CHANNEL_EMAIL, journeyv1.Channel_CHANNEL_CALL_CENTRE}).Draw(t, "to")
			return &channelv1.ContactHandedOver{ContactId: contact, CustomerId: customer, To: to}
		default:
			return &channelv1.LeadResponseReceived{ContactId: contact, CustomerId: customer, LeadId: "lead-of-" + offer, Answer: answer}
		}
	})
	w := newTables(t)
	rapid.Check(t, func(t *rapid.T) {
		w.empty()
		twin := newMemory()
		for _, id := range offers {
			w.take(&marketingv1.PropositionDefined{
				PropositionId: id, Topic: "topic of " + id, Purpose: marketingv1.Purpose_PURPOSE_SALES, ValueCents: 100, Lever: 1,
				Contents: []*marketingv1.Content{{Channel: journeyv1.Channel_CHANNEL_EMAIL, Text: id}},
			}, &marketingv1.LeadIssued{LeadId: "lead-of-" + id, PropositionId: id, Channel: journeyv1.Channel_CHANNEL_EMAIL})
		}
		for _, contact := range contacts {
			w.take(&channelv1.ContactStarted{ContactId: contact, Channel: journeyv1.Channel_CHANNEL_EMAIL})
		}
		for _, m := range rapid.SliceOfN(happening, 0, 30).Draw(t, "happenings") {
			w.take(m)
			twin.take(m)
		}
		for _, contact := range contacts {
			for _, customer := range customers {
				if diff := cmp.Diff(twin.features(contact, customer), w.gather(contact, customer).features); diff != "" {
					t.Errorf("%s in %s (-want +got):\n%s", customer, contact, diff)
				}
			}
		}
	})
}
