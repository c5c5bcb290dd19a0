package campaign

import (
	"fmt"
	"strings"
	"testing"
	"time"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/scenario"
)

// world is what the commands of one scenario work on.
type world struct {
	campaigns map[string]State
	runs      map[string]Issued
}

func TestScenarios(t *testing.T) {
	scenario.Run(t, "testdata", func(t *testing.T) map[string]scenario.Command {
		w := world{campaigns: map[string]State{}, runs: map[string]Issued{}}
		return map[string]scenario.Command{
			"define": func(d scenario.Words) string { return w.define(t, d) },
			"run":    w.run,
		}
	})
}

func (w world) define(t *testing.T, d scenario.Words) string {
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
		return scenario.Tell(nil, err)
	}
	events := Define(w.campaigns[m.GetCampaignId()], event)
	for _, e := range events {
		w.campaigns[m.GetCampaignId()] = Evolve(w.campaigns[m.GetCampaignId()], e)
	}
	return scenario.Tell(events, nil)
}

func (w world) run(d scenario.Words) string {
	campaign, id := d.Get("campaign"), d.Get("id")
	events := Issue(w.runs[id], Run{
		ID: id, At: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC),
		Campaign: w.campaigns[campaign].Defined, Content: "An offer for you", Customers: strings.Fields(d.Input),
	})
	for _, e := range events {
		w.runs[id] = EvolveRun(w.runs[id], e)
	}
	return scenario.Tell(events, nil) + fmt.Sprintf("leads of the run: %d\n", len(w.runs[id].Leads))
}

func TestACampaignMustBeGiven(t *testing.T) {
	if _, err := defined(nil); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("no campaign at all is answered with %v", err)
	}
}
