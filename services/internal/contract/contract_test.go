package contract_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/contract"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestAContractSaysWhatABuildReadsWritesAndTakesIn(t *testing.T) {
	own := flows.Flow{Name: "own-marketing", Types: []string{"marketing.LeadIssued", "marketing.CampaignDefined"}}
	c, err := contract.Of(flows.Marketing, "1.2", append(flows.Into(flows.Marketing), own)...)
	if err != nil {
		t.Fatal(err)
	}
	for what, list := range map[string][]string{
		"channel.v1.ContactStarted":   c.GetReads(), // of another service
		"marketing.v1.LeadIssued":     c.GetWrites(),
		"flow.v1.FlowProgressed":      c.GetWrites(),
		"flow.v1.TypesAdopted":        c.GetReads(),
		"sales.v1.CustomerRegistered": c.GetReads(),
	} {
		if !slices.Contains(list, what) {
			t.Errorf("%s is missing", what)
		}
	}
	if slices.ContainsFunc(c.GetWrites(), func(s string) bool { return strings.HasPrefix(s, "sales.") }) {
		t.Errorf("marketing writes sales' events: %v", c.GetWrites())
	}
	taken := map[string][]string{}
	for _, f := range c.GetFlows() {
		taken[f.GetFlow()] = f.GetTypes()
	}
	if diff := cmp.Diff([]string{"marketing.CampaignDefined", "marketing.LeadIssued"}, taken["own-marketing"]); diff != "" {
		t.Errorf("own flow (-want +got):\n%s", diff)
	}
	if len(taken) != len(flows.Into(flows.Marketing))+1 {
		t.Errorf("flows %v", taken)
	}
}

func TestAContractsIDIsOfWhatItSays(t *testing.T) {
	id := func(c *flowv1.ContractAnnounced) string {
		t.Helper()
		id, err := contract.ID(c)
		if err != nil {
			t.Fatal(err)
		}
		return id.String()
	}
	one, same, other := build(flows.Sales, "newer"), build(flows.Sales, "newer"), build(flows.Sales, "older")
	same.Build = "another build"
	if id(one) != id(same) {
		t.Error("the same contract of another build has another id")
	}
	if id(one) == id(other) {
		t.Error("another contract has the same id")
	}
	if one.GetBuild() == "" {
		t.Error("the contract has lost its build")
	}
}

func TestLacks(t *testing.T) {
	activated := &flowv1.TypeActivated{Schema: gated, Flows: []string{"customer-facts"}}
	half := build(flows.Marketing, "older")
	half.Reads = append(half.Reads, gated)
	for name, tc := range map[string]struct {
		contract *flowv1.ContractAnnounced
		want     string
	}{
		"it reads it":                         {build(flows.Marketing, "newer"), ""},
		"it has nothing to do with the flow":  {build(flows.Channel, "newer"), ""},
		"it knows it not":                     {build(flows.Marketing, "older"), "does not read sales.v1.OrderPlaced"},
		"it reads it, but takes it not in":    {half, "takes in customer-facts without sales.OrderPlaced"},
		"nobody knows what it reads":          {nil, "does not read sales.v1.OrderPlaced"},
		"not the service's, and it knows not": {build(flows.Channel, "older"), "does not read sales.v1.OrderPlaced"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := contract.Lacks(tc.contract, activated); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestActivationNamesWhoCannotReadTheType(t *testing.T) {
	replica := func(service flows.Service, instance, version string, ago time.Duration) contract.Replica {
		return contract.Replica{Service: service, Instance: instance, Build: version, Seen: noon.Add(-ago), Contract: build(service, version)}
	}
	left := func(r contract.Replica) contract.Replica {
		r.Left = true
		return r
	}
	channel, sales := replica(flows.Channel, "c1", "newer", 0), replica(flows.Sales, "s1", "newer", time.Minute)
	for name, tc := range map[string]struct {
		known []contract.Replica
		want  []string
	}{
		"every replica reads it": {
			[]contract.Replica{channel, sales, replica(flows.Marketing, "m1", "newer", 0)}, nil,
		},
		"one old image runs beside a new one": {
			[]contract.Replica{channel, sales, replica(flows.Marketing, "m1", "newer", 0), replica(flows.Marketing, "m2", "older", 80*time.Second)},
			[]string{"marketing m2 (build older) does not read sales.v1.OrderPlaced"},
		},
		"the old image has left": {
			[]contract.Replica{channel, sales, left(replica(flows.Marketing, "m1", "older", 0)), replica(flows.Marketing, "m2", "newer", time.Minute)}, nil,
		},
		"the old image has said nothing for long": {
			[]contract.Replica{channel, sales, replica(flows.Marketing, "m1", "older", 91*time.Second), replica(flows.Marketing, "m2", "newer", 0)}, nil,
		},
		"of a service that is down the last build counts": {
			[]contract.Replica{
				channel, sales, left(replica(flows.Marketing, "m1", "newer", 2*time.Hour)), left(replica(flows.Marketing, "m2", "older", time.Hour)),
			},
			[]string{"marketing m2 (build older) does not read sales.v1.OrderPlaced"},
		},
		"a service has never run": {
			[]contract.Replica{channel, sales}, []string{"marketing has announced no build yet"},
		},
		"nobody knows it": {
			[]contract.Replica{
				replica(flows.Channel, "c", "older", 0), replica(flows.Sales, "s", "older", 0), replica(flows.Marketing, "m", "older", 0),
			},
			[]string{
				"channel c (build older) does not read sales.v1.OrderPlaced",
				"marketing m (build older) does not read sales.v1.OrderPlaced",
				"sales s (build older) does not read sales.v1.OrderPlaced",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, missing := contract.Activation(tc.known, noon, gated)
			if diff := cmp.Diff(tc.want, missing); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
			if len(missing) == 0 {
				if diff := cmp.Diff([]string{"customer-facts"}, a.GetFlows()); diff != "" {
					t.Errorf("flows (-want +got):\n%s", diff)
				}
			}
		})
	}
}
