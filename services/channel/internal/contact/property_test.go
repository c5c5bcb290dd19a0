package contact_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/contact"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

func commandsOf(t *rapid.T) decision {
	one := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
	answer := journeyv1.Answer(rapid.IntRange(1, 3).Draw(t, "answer"))
	return []decision{
		contact.Start{ID: "c", Channel: journeyv1.Channel_CHANNEL_BRANCH, CustomerID: one("customer", "", "k-1"), At: at},
		contact.Claim{Claims: contact.Claims{Email: one("email", "a@b", "c@d")}},
		contact.Identify{CustomerID: one("customer", "k-1", "k-2")},
		contact.Present{PropositionID: one("proposition", "p", "q")},
		contact.Answer{PropositionID: one("proposition", "p", "q"), Answer: answer},
		contact.ShowInterest{Kind: "landing-page", Topic: "bicycles"},
		contact.ClickBanner{PropositionID: one("proposition", "p", "q")},
		contact.Record{Kind: "brochure-taken", Version: 1, Data: "{}"},
		contact.Show{ExperimentID: one("experiment", "e", "f"), Draw: func(s contact.State) (contact.Drawn, error) {
			return contact.Drawn{VariantID: "of " + s.CustomerID, Unit: "00"}, nil
		}},
		contact.Respond{LeadID: one("lead", "l", "m"), Known: rapid.Bool().Draw(t, "known"), Answer: answer},
		contact.Submit{RequestID: one("request", "r", "s"), Kind: journeyv1.RequestKind_REQUEST_KIND_QUOTE, Text: "x", At: at},
		contact.Settle{RequestID: one("request", "r", "s"), Handling: contact.Handling{How: channelv1.Handling_HANDLING_PENDING, Detail: "x"}},
		contact.End{Outcome: channelv1.ContactOutcome(rapid.IntRange(1, 3).Draw(t, "outcome")), At: at},
		contact.HandOver{To: journeyv1.Channel(rapid.IntRange(1, 5).Draw(t, "to")), At: at},
		contact.TimeOut{Touches: rapid.Uint64Range(0, 9).Draw(t, "touches"), At: at},
	}[rapid.IntRange(0, 14).Draw(t, "command")]
}

// Whatever commands come, the history that they leave makes sense. It is judged
// by looking through the whole of it, which is slow and simple.
func TestWhateverHappensTheHistoryOfAContactMakesSense(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := contact.Decider.Initial()
		var history []proto.Message
		for range rapid.IntRange(1, 30).Draw(t, "commands") {
			command := commandsOf(t)
			events, err := command.Decide(state)
			if again, errAgain := command.Decide(state); len(again) != len(events) || (err == nil) != (errAgain == nil) {
				t.Fatalf("%T decides one thing, and then another", command)
			}
			if err != nil && (len(events) > 0 || !fault.Is(err, fault.KindNotFound) && !fault.Is(err, fault.KindPrecondition)) {
				t.Fatalf("%T: %d events and %v", command, len(events), err)
			}
			for _, e := range events {
				judge(t, history, e)
				history = append(history, e)
				state = contact.Decider.Evolve(state, e)
			}
		}
		if steps := naiveSteps(history); int(state.Steps) != steps || len(state.History) != steps {
			t.Fatalf("%d steps, and %d in the history, want %d", state.Steps, len(state.History), steps)
		}
	})
}

// judge looks whether an event may follow a history.
func judge(t *rapid.T, history []proto.Message, e proto.Message) {
	had := func(is func(proto.Message) bool) bool {
		for _, before := range history {
			if is(before) {
				return true
			}
		}
		return false
	}
	ended := had(func(m proto.Message) bool { _, ok := m.(*channelv1.ContactEnded); return ok })
	_, started := e.(*channelv1.ContactStarted)
	if started != (len(history) == 0) {
		t.Fatalf("%T is event %d", e, len(history))
	}
	switch m := e.(type) {
	case *channelv1.VisitorIdentified:
		return // at any time
	case *channelv1.RequestHandledInPart:
		if had(func(b proto.Message) bool { return proto.Equal(b, m) }) {
			t.Fatalf("request %s is settled twice", m.GetRequestId())
		}
		return
	case *channelv1.PropositionAnswered:
		if !had(func(b proto.Message) bool {
			p, ok := b.(*channelv1.PropositionPresented)
			return ok && p.GetPropositionId() == m.GetPropositionId()
		}) {
			t.Fatalf("%s is answered and was never presented", m.GetPropositionId())
		}
	case *channelv1.VariantShown:
		if had(func(b proto.Message) bool {
			v, ok := b.(*channelv1.VariantShown)
			return ok && v.GetExperimentId() == m.GetExperimentId()
		}) {
			t.Fatalf("a variant of %s is shown twice", m.GetExperimentId())
		}
	case *channelv1.ContactHandedOver:
		if was := naiveChannel(history); m.GetFrom() != was || m.GetTo() == was {
			t.Fatalf("handed over from %s to %s, and was in %s", m.GetFrom(), m.GetTo(), was)
		}
	case *channelv1.RequestSubmitted:
		if m.GetCustomerId() == "" {
			t.Fatal("a request of nobody")
		}
	}
	if ended {
		t.Fatalf("%T after the end", e)
	}
}

func naiveChannel(history []proto.Message) (channel journeyv1.Channel) {
	for _, e := range history {
		switch e := e.(type) {
		case *channelv1.ContactStarted:
			channel = e.GetChannel()
		case *channelv1.ContactHandedOver:
			channel = e.GetTo()
		}
	}
	return channel
}

// A contact that was looked at ends by itself if nobody has done anything in it
// since, whatever others made of it, and only then.
func TestAStepInBetweenKeepsAContactAlive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := contact.Decider.Initial()
		perform := func(command decision) (events []proto.Message) {
			events, _ = command.Decide(state)
			for _, e := range events {
				state = contact.Decider.Evolve(state, e)
			}
			return events
		}
		perform(contact.Start{ID: "c", Channel: journeyv1.Channel_CHANNEL_WEBSITE, CustomerID: "k-1", At: at})
		for range rapid.IntRange(0, 8).Draw(t, "before") {
			perform(commandsOf(t))
		}
		looked := state.Touches
		var meanwhile []proto.Message
		for range rapid.IntRange(0, 4).Draw(t, "in between") {
			meanwhile = append(meanwhile, perform(commandsOf(t))...)
		}
		wasOpen, untouched := state.Ended == 0, !slices.ContainsFunc(meanwhile, keepsAlive)
		ended := perform(contact.TimeOut{Touches: looked, At: at})
		if want := wasOpen && untouched; (len(ended) == 1) != want {
			t.Fatalf("it came to %v; in between came %v", ended, meanwhile)
		}
		if len(ended) == 1 && state.Ended != channelv1.ContactOutcome_CONTACT_OUTCOME_TIMED_OUT {
			t.Fatalf("it ended as %s", state.Ended)
		}
	})
}

// keepsAlive names what nobody in the contact does; all else somebody does.
func keepsAlive(e proto.Message) bool {
	switch e.(type) {
	case *channelv1.VisitorIdentified, *channelv1.RequestHandled, *channelv1.RequestHandledInPart, *channelv1.ContactEnded:
		return false
	default:
		return true
	}
}

func naiveSteps(history []proto.Message) (steps int) {
	for _, e := range history {
		switch e.(type) {
		case *channelv1.ContactStarted, *channelv1.VisitorIdentified, *channelv1.ContactEnded, *channelv1.RequestHandledInPart, *channelv1.VariantShown:
		default:
			steps++
		}
	}
	return steps
}
