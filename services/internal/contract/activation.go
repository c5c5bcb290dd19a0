package contract

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
)

// RenewEvery is how often a replica says that it runs, and goneAfter how long one
// is believed that says no more.
const (
	RenewEvery = 30 * time.Second
	goneAfter  = 3 * RenewEvery
)

// Replica is what is known of a replica of a service.
type Replica struct {
	Service  flows.Service
	Instance string
	Build    string
	// Seen is when it said last that it runs, by the store's time; Left tells that
	// it has said since that it does so no more.
	Seen     time.Time
	Left     bool
	Contract *flowv1.ContractAnnounced
	// Since is when it said so first, as far as the stream keeps it.
	Since time.Time
	// Image is what it was started from; empty where it was not told.
	Image string
	// Calls is how many API calls it has answered since it started, and Failed how
	// many of them failed for no fault of who called.
	Calls, Failed uint64
}

// Runs tells whether it runs at now, by the store's time.
func (r Replica) Runs(now time.Time) bool { return !r.Left && now.Sub(r.Seen) <= goneAfter }

// Running returns the replicas that run at now. Of a service of which none does it
// returns the one that was seen last: what comes back is likely to be that build.
// It is pure.
func Running(known []Replica, now time.Time) []Replica {
	var running []Replica
	for _, service := range flows.Services {
		var last *Replica
		alone := true
		for i, r := range known {
			if r.Service != service {
				continue
			}
			if r.Runs(now) {
				running, alone = append(running, r), false
			}
			if last == nil || !r.Seen.Before(last.Seen) {
				last = &known[i]
			}
		}
		if alone && last != nil {
			running = append(running, *last)
		}
	}
	return running
}

// Activation returns the event that a type's activation would be, and names who
// stands in its way: each replica that can't take it in, with what it lacks, and
// each service that nobody knows. It is pure.
func Activation(known []Replica, now time.Time, schema string) (a *flowv1.TypeActivated, missing []string) {
	running := Running(known, now)
	a = &flowv1.TypeActivated{Schema: schema, Flows: carriers(running, codec.NameOf(schema))}
	for _, service := range flows.Services {
		if !slices.ContainsFunc(running, func(r Replica) bool { return r.Service == service }) {
			missing = append(missing, fmt.Sprintf("%s has announced no build yet", service))
		}
	}
	for _, r := range running {
		if lacks := Lacks(r.Contract, a); lacks != "" {
			missing = append(missing, fmt.Sprintf("%s %s (build %s) %s", r.Service, cmp.Or(r.Instance, "?"), cmp.Or(r.Build, "?"), lacks))
		}
	}
	slices.Sort(missing)
	return a, missing
}

// carriers names the flows over which some replica takes in a type.
func carriers(replicas []Replica, name string) (carry []string) {
	for _, r := range replicas {
		for _, f := range r.Contract.GetFlows() {
			if slices.Contains(f.GetTypes(), name) {
				carry = append(carry, f.GetFlow())
			}
		}
	}
	slices.SortFunc(carry, strings.Compare)
	return slices.Compact(carry)
}
