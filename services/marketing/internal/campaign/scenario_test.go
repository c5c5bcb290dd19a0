package campaign

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/scenario"
	"github.com/triangle-suite/triangle/services/marketing/internal/lead"
	"github.com/triangle-suite/triangle/services/marketing/internal/proposition"
)

// noon is when things happen in scenarios, unless they say otherwise.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// story is what the commands of one scenario work on.
type story struct {
	db        *projection.DB // what rules are read with
	campaigns map[string]State
	runs      map[string]RunState
	places    lead.Places
	caps      []*marketingv1.LeadCap
}

// MA-6: campaigns are defined and stopped, and their runs issue leads under the caps.
func TestScenarioMA6(t *testing.T) {
	db, err := projection.Open(t.Context(), pgtest.Somewhere(t), "marketing")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := db.Create(t.Context(), projection.Schema{Name: "own", Version: 1, Tables: proposition.Tables}); err != nil {
		t.Fatal(err)
	}
	scenario.Run(t, "testdata", func(t *testing.T) map[string]scenario.Command {
		w := &story{db: db, campaigns: map[string]State{}, runs: map[string]RunState{}, places: lead.Places{}}
		return map[string]scenario.Command{
			"define":   func(d scenario.Words) string { return w.define(t, d) },
			"stop":     func(d scenario.Words) string { return w.stop(d) },
			"run":      func(d scenario.Words) string { return w.run(t, d) },
			"withdraw": func(d scenario.Words) string { return w.withdraw(d) },
			"caps":     func(d scenario.Words) string { return w.configure(t, d) },
			"claim":    func(d scenario.Words) string { return w.claim(t, d) },
			"take":     func(d scenario.Words) string { return w.place(d, lead.Take) },
			"release":  func(d scenario.Words) string { return w.place(d, lead.Release) },
		}
	})
}

func at(t *testing.T, d scenario.Words, word string, otherwise time.Time) time.Time {
	t.Helper()
	text := d.Get(word)
	if text == "" {
		return otherwise
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return at
}

func channelOf(d scenario.Words) journeyv1.Channel {
	return journeyv1.Channel(journeyv1.Channel_value["CHANNEL_"+d.Get("channel")])
}

func (w *story) define(t *testing.T, d scenario.Words) string {
	m := &marketingv1.Campaign{
		CampaignId: d.Get("id"), Name: d.Get("name"), PropositionId: d.Get("proposition"), Channel: channelOf(d),
		MinSpentCents: d.Number(t, "spent"), MinOrders: uint32(d.Number(t, "orders")), MaxLeads: uint32(d.Number(t, "leads")),
		Priority: uint32(d.Number(t, "priority")), SegmentId: d.Get("segment"), Schedule: strings.Join(d.List("schedule"), ", "),
	}
	if d.Get("once") != "" {
		m.OnceAt = timestamppb.New(at(t, d, "once", noon))
	}
	trigger := &marketingv1.Trigger{
		Event: d.Get("event"), SegmentId: d.Get("enters"), Rule: d.Input, PeriodHours: uint32(d.Number(t, "hours")),
	}
	if !proto.Equal(trigger, &marketingv1.Trigger{}) {
		m.Trigger = trigger
	}
	event, err := defined(t.Context(), w.db, m)
	if err != nil {
		return scenario.Tell(nil, err)
	}
	s := w.campaigns[m.GetCampaignId()]
	told := scenario.Decide(&s, Decider, func(s State) ([]proto.Message, error) { return Define(s, event, at(t, d, "at", noon)), nil })
	w.campaigns[m.GetCampaignId()] = s
	return told
}

func (w *story) stop(d scenario.Words) string {
	if d.Get("run") != "" {
		s := w.runs[d.Get("run")]
		told := scenario.Decide(&s, RunDecider, func(s RunState) ([]proto.Message, error) { return StopRun(s), nil })
		w.runs[d.Get("run")] = s
		return told
	}
	s := w.campaigns[d.Get("campaign")]
	told := scenario.Decide(&s, Decider, func(s State) ([]proto.Message, error) { return Stop(s, d.Get("campaign"), issuedLeads(d), noon), nil })
	w.campaigns[d.Get("campaign")] = s
	return told
}

// run plans a run and, where it is told who has a place, ends it.
func (w *story) run(t *testing.T, d scenario.Words) string {
	id := d.Get("id")
	plan := blank(w.campaigns[d.Get("campaign")].Defined, id, noon)
	plan.Content, plan.Customers = "An offer for you", strings.Fields(d.Input)
	plan.Eligible, plan.Capped = uint64(len(plan.GetCustomers())+int(d.Number(t, "capped"))), uint64(d.Number(t, "capped"))
	s := w.runs[id]
	told := scenario.Decide(&s, RunDecider, func(s RunState) ([]proto.Message, error) { return Plan(s, plan, ""), nil })
	if d.Get("end") != "only-plan" {
		lost := d.List("lost")
		told += scenario.Decide(&s, RunDecider, func(s RunState) ([]proto.Message, error) {
			placed := slices.DeleteFunc(strings.Fields(d.Input), func(c string) bool { return slices.Contains(lost, c) })
			return End(s, placed, len(strings.Fields(d.Input))-len(placed)), nil
		})
	}
	w.runs[id] = s
	return told + fmt.Sprintf("leads of the run: %d\n", len(s.Leads))
}

// withdraw withdraws the leads of a run, but for those to customers of whom it is known
// that theirs was sent or answered.
func (w *story) withdraw(d scenario.Words) string {
	s := w.runs[d.Get("run")]
	known := map[string]bool{}
	for _, customer := range d.List("known") {
		known[LeadID(d.Get("run"), customer)] = true
	}
	told := scenario.Decide(&s, RunDecider, func(s RunState) ([]proto.Message, error) { return Withdraw(s, known), nil })
	w.runs[d.Get("run")] = s
	return told
}

// issuedLeads is what becomes of the leads of a campaign that is stopped.
func issuedLeads(d scenario.Words) marketingv1.IssuedLeads {
	return marketingv1.IssuedLeads(marketingv1.IssuedLeads_value["ISSUED_LEADS_"+d.Get("leads")])
}

func (w *story) configure(t *testing.T, d scenario.Words) string {
	w.caps = nil
	for line := range strings.Lines(d.Input) {
		c := &marketingv1.LeadCap{}
		var channel string
		if _, err := fmt.Sscan(line, &channel, &c.Hours, &c.Most); err != nil {
			d.Fatalf(t, "%v", err)
		}
		c.Channel = journeyv1.Channel(journeyv1.Channel_value["CHANNEL_"+channel])
		w.caps = append(w.caps, c)
	}
	return fmt.Sprintf("%d caps\n", len(w.caps))
}

func (w *story) claim(t *testing.T, d scenario.Words) string {
	return scenario.Decide(&w.places, lead.Decider, func(s lead.Places) ([]proto.Message, error) {
		return lead.Hold(s, lead.Claim{
			LeadID: d.Get("lead"), CustomerID: "anna", CampaignID: d.Get("campaign"), RunID: "run of " + d.Get("lead"), Channel: channelOf(d),
			Priority: uint32(d.Number(t, "priority")), At: at(t, d, "at", noon), Once: hours(uint32(d.Number(t, "once"))),
		}, w.caps), nil
	})
}

func (w *story) place(d scenario.Words, decide func(lead.Places, string, string) []proto.Message) string {
	return scenario.Decide(&w.places, lead.Decider, func(s lead.Places) ([]proto.Message, error) {
		return decide(s, d.Get("lead"), "anna"), nil
	})
}

func TestACampaignMustBeGiven(t *testing.T) {
	if _, err := defined(t.Context(), nil, nil); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("no campaign at all is answered with %v", err)
	}
}
