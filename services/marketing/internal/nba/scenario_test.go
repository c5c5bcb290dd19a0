package nba

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
)

// MA-2, MA-3, MA-5: the scenarios tell what happens to customers, one event a
// command, and ask for decisions. A list shows its priorities, and what was left
// out by which gates.
func TestScenarioMA2NextBestActions(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		w := newTables(t)
		seed := uint64(0)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "hours":
				w.now = w.now.Add(time.Duration(number[int64](d, "pass", 0)) * time.Hour)
				return ""
			case "seed":
				seed = uint64(number[int64](d, "is", 0))
				return ""
			}
			if d.Cmd == "decide" {
				return w.decide(t, arg(d, "contact"), arg(d, "customer"), seed)
			}
			m := message(d)
			if m == nil {
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			w.take(m)
			return ""
		})
	})
}

func arg(d *datadriven.TestData, key string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key {
			return strings.Join(a.Vals, " ")
		}
	}
	return ""
}

func number[N int64 | float64](d *datadriven.TestData, key string, otherwise N) N {
	if _, err := fmt.Sscan(arg(d, key), &otherwise); err != nil && arg(d, key) != "" {
		panic(fmt.Sprintf("%s: %v", key, err))
	}
	return otherwise
}

func channel(name string) journeyv1.Channel {
	return journeyv1.Channel(journeyv1.Channel_value["CHANNEL_"+name])
}

// message is the event that a command stands for.
func message(d *datadriven.TestData) proto.Message {
	contact, customer, offer := arg(d, "contact"), arg(d, "customer"), arg(d, "proposition")
	answer := journeyv1.Answer(journeyv1.Answer_value["ANSWER_"+arg(d, "answer")])
	switch d.Cmd {
	case "proposition":
		return definition(d)
	case "arbitration":
		return arbitrate(d)
	case "sent":
		return &channelv1.MessageSent{MessageId: arg(d, "id"), CustomerId: customer, Channel: channel(arg(d, "channel"))}
	case "lead":
		return &marketingv1.LeadIssued{LeadId: arg(d, "id"), CustomerId: customer, PropositionId: offer}
	case "order":
		return &salesv1.OrderPlaced{CustomerId: customer, AmountCents: number[int64](d, "amount", 0)}
	case "complaint":
		return &salesv1.RequestStatusChanged{
			RequestId: arg(d, "id"), CustomerId: customer, Kind: journeyv1.RequestKind_REQUEST_KIND_COMPLAINT,
			Status: journeyv1.RequestStatus(journeyv1.RequestStatus_value["REQUEST_STATUS_"+arg(d, "status")]),
		}
	case "started":
		return &channelv1.ContactStarted{ContactId: contact, CustomerId: customer, Channel: channel(arg(d, "channel"))}
	case "identified":
		return &channelv1.VisitorIdentified{ContactId: contact, CustomerId: customer}
	case "handed-over":
		return &channelv1.ContactHandedOver{ContactId: contact, CustomerId: customer, To: channel(arg(d, "to"))}
	case "presented":
		return &channelv1.PropositionPresented{ContactId: contact, CustomerId: customer, PropositionId: offer}
	case "answered":
		return &channelv1.PropositionAnswered{ContactId: contact, CustomerId: customer, PropositionId: offer, Answer: answer}
	case "interest":
		return &channelv1.InterestShown{ContactId: contact, CustomerId: customer, Topic: arg(d, "topic")}
	case "banner":
		return &channelv1.BannerClicked{ContactId: contact, CustomerId: customer, PropositionId: offer}
	case "response":
		return &channelv1.LeadResponseReceived{ContactId: contact, CustomerId: customer, LeadId: arg(d, "lead"), Answer: answer}
	default:
		return nil
	}
}

func definition(d *datadriven.TestData) proto.Message {
	p := &marketingv1.PropositionDefined{
		PropositionId: arg(d, "id"), Name: arg(d, "id"), Topic: arg(d, "topic"),
		Purpose:    marketingv1.Purpose(marketingv1.Purpose_value["PURPOSE_"+arg(d, "purpose")]),
		ValueCents: number[int64](d, "value", 0), Lever: number(d, "lever", 1.0), BasePropensity: number(d, "propensity", 0.5),
	}
	for name := range strings.FieldsSeq(arg(d, "channels")) {
		p.Contents = append(p.Contents, &marketingv1.Content{Channel: channel(name), Text: arg(d, "id") + " in " + name})
	}
	return p
}

func arbitrate(d *datadriven.TestData) proto.Message {
	a := &marketingv1.Arbitration{
		Exploration:  marketingv1.Exploration(marketingv1.Exploration_value["EXPLORATION_"+arg(d, "exploration")]),
		ControlShare: number(d, "control", 0.0),
	}
	for name := range strings.FieldsSeq(arg(d, "off")) {
		a.FactorsOff = append(a.FactorsOff, marketingv1.Factor(marketingv1.Factor_value["FACTOR_"+name]))
	}
	if name := arg(d, "limit"); name != "" {
		a.Limits = append(a.Limits, &marketingv1.ContactLimit{
			Channel: channel(name), Hours: uint32(number[int64](d, "hours", 24)), Most: uint32(number[int64](d, "most", 0)),
		})
	}
	return &marketingv1.ArbitrationConfigured{Arbitration: a}
}

// decide decides, and shows the decision as a product owner reads it.
func (w *tables) decide(t *testing.T, contact, customer string, seed uint64) string {
	t.Helper()
	g := w.gather(contact, customer)
	e, err := Decide(Command{DecisionID: "d", CauseID: "c", Channel: g.channel, Features: g.features, Wording: g.wording, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(stored(t, e)); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if e.GetGroup() == marketingv1.Group_GROUP_CONTROL {
		out.WriteString("in the control group\n")
	}
	for i, a := range e.GetActions() {
		fmt.Fprintf(&out, "%d. %s: %q, priority %.4g\n", i+1, a.GetPropositionId(), a.GetContent(), a.GetPriority())
	}
	for _, c := range e.GetCandidates() {
		if c.GetGate() != marketingv1.Gate_GATE_UNSPECIFIED {
			fmt.Fprintf(&out, "left out: %s, by %s\n", c.GetPropositionId(), gateNames(c.GetFailed()))
			continue
		}
		fmt.Fprintf(&out, "%s = %.4g × %v × %v × %v", c.GetPropositionId(), c.GetPropensity(), c.GetContext(), c.GetValue(), c.GetLever())
		if p := c.GetFirstProbability(); p > 0 && p < 1 {
			fmt.Fprintf(&out, "; learned %.3f (%.3f to %.3f), first with %.3f", c.GetLearnedRate(), c.GetLearnedLow(), c.GetLearnedHigh(), p)
		}
		out.WriteString("\n")
	}
	return out.String()
}

func gateNames(gates []marketingv1.Gate) string {
	var names []string
	for _, g := range gates {
		names = append(names, strings.TrimPrefix(g.String(), "GATE_"))
	}
	return strings.Join(names, ", ")
}
