package campaign

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/proto"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

// world is what the commands of one scenario work on.
type world struct {
	campaigns map[string]State
	runs      map[string]Issued
}

func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := world{campaigns: map[string]State{}, runs: map[string]Issued{}}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "define":
				return w.define(t, d)
			case "run":
				return w.run(t, d)
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
				return ""
			}
		})
	})
}

func (w world) define(t *testing.T, d *datadriven.TestData) string {
	m := &marketingv1.Campaign{}
	var channel string
	d.ScanArgs(t, "id", &m.CampaignId)
	d.MaybeScanArgs(t, "name", &m.Name)
	d.MaybeScanArgs(t, "proposition", &m.PropositionId)
	d.MaybeScanArgs(t, "channel", &channel)
	d.MaybeScanArgs(t, "spent", &m.MinSpentCents)
	for name, into := range map[string]*uint32{"orders": &m.MinOrders, "leads": &m.MaxLeads, "priority": &m.Priority} {
		var value int
		if d.MaybeScanArgs(t, name, &value) {
			*into = uint32(value)
		}
	}
	m.Channel = journeyv1.Channel(journeyv1.Channel_value["CHANNEL_"+channel])
	event, err := defined(m)
	if err != nil {
		return refusal(t, err)
	}
	events := Define(w.campaigns[m.GetCampaignId()], event)
	for _, e := range events {
		w.campaigns[m.GetCampaignId()] = Evolve(w.campaigns[m.GetCampaignId()], e)
	}
	return tell(t, events)
}

func (w world) run(t *testing.T, d *datadriven.TestData) string {
	var campaign, id string
	d.ScanArgs(t, "campaign", &campaign)
	d.ScanArgs(t, "id", &id)
	events := Issue(w.runs[id], Run{
		ID: id, At: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC),
		Campaign: w.campaigns[campaign].Defined, Content: "An offer for you", Customers: strings.Fields(d.Input),
	})
	for _, e := range events {
		w.runs[id] = EvolveRun(w.runs[id], e)
	}
	return tell(t, events) + fmt.Sprintf("leads of the run: %d\n", len(w.runs[id].Leads))
}

func refusal(t *testing.T, err error) string {
	t.Helper()
	f, ok := fault.Of(err)
	if !ok {
		t.Fatal(err)
	}
	var out strings.Builder
	out.WriteString("refused:\n")
	for _, v := range f.Violations {
		fmt.Fprintf(&out, "  %s %s\n", v.Field, v.Description)
	}
	return out.String()
}

func tell(t *testing.T, events []proto.Message) string {
	t.Helper()
	if len(events) == 0 {
		return "nothing\n"
	}
	var out strings.Builder
	for _, event := range events {
		text, err := codec.Canonical(event)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s %s\n", event.ProtoReflect().Descriptor().Name(), text)
	}
	return out.String()
}

func TestACampaignMustBeGiven(t *testing.T) {
	if _, err := defined(nil); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("no campaign at all is answered with %v", err)
	}
}
