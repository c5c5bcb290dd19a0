package contract_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/contract"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

func (w *world) suite() control.Suite {
	w.t.Helper()
	suite, err := w.control.Suite(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return suite
}

// A replica tells which image it is, since when it runs, and how its calls end.
func TestAReplicaTellsOfItsImageAndItsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var calls atomic.Uint64
		r := w.run(build(flows.Sales, "newer"), func(m *contract.Member) {
			m.Image, m.Calls = "registry/sales:2", func() (uint64, uint64) { return calls.Load(), calls.Load() / 10 }
		})
		synctest.Wait()
		began := time.Now()
		calls.Store(100)
		<-time.After(contract.RenewEvery)
		synctest.Wait()
		replicas := w.suite().Of(flows.Sales).Replicas
		if len(replicas) != 1 {
			t.Fatalf("%d replicas, want 1", len(replicas))
		}
		got := replicas[0]
		if got.Image != "registry/sales:2" || got.Calls != 100 || got.Failed != 10 {
			t.Errorf("the replica tells %+v", got)
		}
		if !got.Since.Equal(began) || got.Seen.Sub(got.Since) != contract.RenewEvery {
			t.Errorf("it runs since %s and was seen at %s", got.Since, got.Seen)
		}
		if c := w.suite().Of(flows.Sales).Images["registry/sales:2"]; c == nil {
			t.Error("the image has not announced itself")
		}
		w.stop(r)
	})
}

// The three services' announcements make the catalogue: also when the builds are
// from before it was announced as data.
func TestTheCatalogueIsWhatTheServicesAnnounce(t *testing.T) {
	want := slices.Clone(flows.Catalogue)
	slices.SortFunc(want, func(a, b flows.Flow) int { return strings.Compare(a.Name, b.Name) })
	for name, strip := range map[string]bool{"as data": false, "by name alone": true} {
		t.Run(name, func(t *testing.T) {
			var services []control.Service
			for _, service := range flows.Services {
				c := build(service, "newer")
				if strip {
					c.Catalogue = nil
				}
				services = append(services, control.Service{Name: service, Contracts: []*flowv1.ContractAnnounced{build(service, "older"), c}})
			}
			got := control.Catalogue(services)
			if len(got) != len(want) {
				t.Fatalf("%d flows, want %d", len(got), len(want))
			}
			for i := range want {
				slices.Sort(got[i].Types)
				w := want[i]
				w.Types = slices.Sorted(slices.Values(w.Types))
				if !reflect.DeepEqual(got[i], w) {
					t.Errorf("got  %+v\nwant %+v", got[i], w)
				}
			}
		})
	}
}

func TestASuiteTellsWhoseStoreItIs(t *testing.T) {
	w := newWorld(t)
	if got := w.suite().Environment; got != "" {
		t.Errorf("a store that nobody has taken belongs to %q", got)
	}
	origin := decider.Origin{Key: "found", Service: flows.Sales, Time: noon}
	founded := &flowv1.EnvironmentFounded{EnvironmentId: "e1"}
	if _, err := decider.Ensure(t.Context(), w.streams, origin, flows.EnvironmentStream, uuid.New(), founded); err != nil {
		t.Fatal(err)
	}
	if got := w.suite().Environment; got != "e1" {
		t.Errorf("the store belongs to %q, want e1", got)
	}
}

func TestARolloutIsToldUnderTheExpectedRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		deposed, leader := w.suite(), w.suite()
		began := &flowv1.RolloutBegan{Service: "sales", Image: "registry/sales:2", Attempt: "a", By: "operator"}
		if err := w.control.TellRollout(t.Context(), leader, began, "operator"); err != nil {
			t.Fatal(err)
		}
		if err := w.control.TellRollout(t.Context(), deposed, &flowv1.RolloutBegan{Service: "channel", Image: "registry/channel:2"}, "operator"); !errors.Is(err, control.ErrOvertaken) {
			t.Errorf("a deposed leader's event: %v, want ErrOvertaken", err)
		}
		got := w.suite().Of(flows.Sales).Rollouts
		if len(got) != 1 || got[0].Event.(*flowv1.RolloutBegan).GetImage() != "registry/sales:2" || got[0].At.IsZero() {
			t.Errorf("the stream tells %v", got)
		}
	})
}

func TestABuildMayServeOnlyIfItReadsAllThatMayBeThere(t *testing.T) {
	older, newer := build(flows.Sales, "older"), build(flows.Sales, "newer")
	active := []control.Type{{Schema: gated, Activation: &flowv1.TypeActivated{Schema: gated, Flows: []string{"customer-facts"}}}}
	waiting := []control.Type{{Schema: gated}}
	ungated := build(flows.Sales, "newer")
	ungated.Gated = nil
	lacks := []string{"does not read " + gated}
	for name, tc := range map[string]struct {
		build *flowv1.ContractAnnounced
		types []control.Type
		since []*flowv1.ContractAnnounced
		want  []string
	}{
		"nothing has changed":                              {newer, nil, nil, nil},
		"the newer one has served, and its type waits":     {older, waiting, []*flowv1.ContractAnnounced{newer}, nil},
		"the newer one has served, and its type is active": {older, active, []*flowv1.ContractAnnounced{newer}, lacks},
		"the type is active, whoever writes it":            {older, active, nil, lacks},
		"the newer one writes a type that nothing gates":   {older, nil, []*flowv1.ContractAnnounced{older, ungated}, lacks},
		"forward, over the older one":                      {newer, active, []*flowv1.ContractAnnounced{older}, nil},
		"nobody knows what it reads":                       {nil, active, nil, lacks},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, control.CanRead(tc.build, tc.types, tc.since...)); diff != "" {
				t.Errorf("lacks (-want +got):\n%s", diff)
			}
		})
	}
}
