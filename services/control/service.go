package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/contract"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Errors about services.
var (
	// ErrOvertaken says that somebody else has written to a service's stream since
	// it was read: look again, and decide anew.
	ErrOvertaken = errors.New("somebody else has written to the service's stream meanwhile")
	// ErrNotKnown says that a stream has an event that this build does not know. A
	// newer one has written it, and knows what comes next.
	ErrNotKnown = codec.ErrUnknownType
)

// Replica is what is known of a replica of a service: see contract.Replica.
type Replica = contract.Replica

// Service is what the streams tell of a service: its contracts, its rollouts, and
// the replicas that run.
//
//	service-<name>   ContractAnnounced, ImageAnnounced (the service's images)
//	                 RolloutBegan, RolloutServing, RolloutReturned, RolloutEnded (who rolls out)
//	replicas-<name>  ReplicaSeen, ReplicaLeft, the last few
type Service struct {
	Name flows.Service
	// Contracts are those that were announced, oldest first, and Images the last one
	// of each image that has announced itself.
	Contracts []*flowv1.ContractAnnounced
	Images    map[string]*flowv1.ContractAnnounced
	// Rollouts are the events of the service's rollouts, oldest first.
	Rollouts []Entry
	// Replicas are those that run, by the store's time; of a service of which none
	// does, the one that was seen last.
	Replicas []Replica

	revision eventlog.Expected
}

// Services returns what the streams tell of each service, in the order of
// flows.Services. It fails with ErrNotKnown.
func (f *Flows) Services(ctx context.Context) (all []Service, err error) {
	known, now, err := contract.Known(ctx, &decider.Streams{Log: f.log, Codec: f.codec})
	if err != nil {
		return nil, err
	}
	running := contract.Running(known, now)
	for _, name := range flows.Services {
		s, err := f.service(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, r := range running {
			if r.Service == name {
				s.Replicas = append(s.Replicas, r)
			}
		}
		all = append(all, s)
	}
	return all, nil
}

func (f *Flows) service(ctx context.Context, name flows.Service) (Service, error) {
	s := Service{Name: name, Images: map[string]*flowv1.ContractAnnounced{}, revision: eventlog.NoStream}
	contracts := map[string]*flowv1.ContractAnnounced{}
	err := f.read(ctx, flows.ContractStream(name), eventlog.Forward, 0, 0, func(e codec.Event) {
		s.revision = eventlog.At(e.Revision)
		switch m := e.Message.(type) {
		case *flowv1.ContractAnnounced:
			contracts[e.ID.String()] = m
			s.Contracts = append(s.Contracts, m)
		case *flowv1.ImageAnnounced:
			if c, ok := contracts[m.GetContractId()]; ok {
				s.Images[m.GetImage()] = c
			}
		case *flowv1.RolloutBegan, *flowv1.RolloutServing, *flowv1.RolloutReturned, *flowv1.RolloutEnded:
			s.Rollouts = append(s.Rollouts, Entry{At: e.Created, Event: e.Message})
		}
	})
	return s, err
}

// TellRollout appends an event of a service's rollout, under the revision that the
// service was read at: who was deposed meanwhile can't. It fails with ErrOvertaken.
func (f *Flows) TellRollout(ctx context.Context, s Service, told proto.Message, by string) error {
	e, err := f.codec.Encode(ctx, told, uuid.New(), codec.Metadata{
		Source: "/triangle/control/" + by, Subject: string(s.Name), Time: time.Now().UTC(),
	})
	if err != nil {
		return err
	}
	stream := flows.ContractStream(s.Name)
	switch _, err := f.log.Append(ctx, stream, s.revision, e); {
	case errors.Is(err, eventlog.ErrWrongRevision):
		return fmt.Errorf("%s: %w", stream, ErrOvertaken)
	case err != nil:
		return fmt.Errorf("tell of the rollout of %s: %w", s.Name, err)
	}
	return nil
}

// Catalogue returns the flows that the services announce, in the order of their
// names: each as the service that takes it in has it, in the build that was seen
// last. It is pure.
func Catalogue(services []Service) (all []flows.Flow) {
	for _, s := range services {
		c := s.current()
		told := c.GetCatalogue()
		for _, data := range told {
			all = append(all, flows.FromData(data))
		}
		if len(told) > 0 {
			continue
		}
		for _, taken := range c.GetFlows() { // a build from before flows were announced as data
			if f, ok := flows.Find(taken.GetFlow()); ok {
				f.Types = taken.GetTypes()
				all = append(all, f)
			}
		}
	}
	slices.SortFunc(all, func(a, b flows.Flow) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// current is the contract of the replica that was seen last, or else the one that
// was announced last; nil when there is none.
func (s Service) current() (c *flowv1.ContractAnnounced) {
	var seen time.Time
	for _, r := range s.Replicas {
		if r.Contract != nil && (c == nil || r.Seen.After(seen)) {
			c, seen = r.Contract, r.Seen
		}
	}
	if c == nil && len(s.Contracts) > 0 {
		c = s.Contracts[len(s.Contracts)-1]
	}
	return c
}

// CanRead tells what a build lacks to serve now: the types that are active, and
// those that builds of its service may have written since it served, which are all
// that they write but for types that are not active. Nil when it lacks nothing. It
// is pure.
func CanRead(c *flowv1.ContractAnnounced, types []Type, since ...*flowv1.ContractAnnounced) (lacks []string) {
	active := map[string]bool{}
	for _, t := range types {
		if t.Activation == nil {
			continue
		}
		active[t.Schema] = true
		if l := contract.Lacks(c, t.Activation); l != "" {
			lacks = append(lacks, l)
		}
	}
	for _, later := range since {
		for _, schema := range later.GetWrites() {
			held := slices.Contains(later.GetGated(), schema) && !active[schema]
			if !held && !slices.Contains(c.GetReads(), schema) {
				lacks = append(lacks, "does not read "+schema)
			}
		}
	}
	slices.Sort(lacks)
	return slices.Compact(lacks)
}
