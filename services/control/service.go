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
	// ErrOvertaken says that somebody else has rolled something out since the
	// services were read: look again, and decide anew.
	ErrOvertaken = errors.New("somebody else has rolled something out meanwhile")
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
//	replicas-<name>  ReplicaSeen, ReplicaLeft, the last few
//	rollouts         RolloutBegan, RolloutServing, RolloutReturned, RolloutEnded of all
//	                 services (who rolls out)
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
}

// Suite is the services, in the order of flows.Services. One service is rolled out
// at a time, so their rollouts have one stream: of two that would begin one each
// somebody comes second, and is told.
type Suite struct {
	Services []Service
	// Environment is whose store it is; empty while nobody has said so.
	Environment string

	revision eventlog.Expected // of the stream of rollouts
}

// Of returns a service of the suite.
func (s Suite) Of(name flows.Service) Service { return s.Services[slices.Index(flows.Services, name)] }

// Suite returns what the streams tell of the services. It fails with ErrNotKnown.
func (f *Flows) Suite(ctx context.Context) (suite Suite, err error) {
	suite.revision = eventlog.NoStream
	rollouts := map[string][]Entry{}
	err = f.read(ctx, flows.RolloutsStream, eventlog.Forward, 0, 0, func(e codec.Event) {
		suite.revision = eventlog.At(e.Revision)
		if m, ok := e.Message.(interface{ GetService() string }); ok {
			rollouts[m.GetService()] = append(rollouts[m.GetService()], Entry{At: e.Created, Event: e.Message})
		}
	})
	if err != nil {
		return suite, err
	}
	err = f.read(ctx, flows.EnvironmentStream, eventlog.Forward, 0, 1, func(e codec.Event) {
		if m, ok := e.Message.(*flowv1.EnvironmentFounded); ok {
			suite.Environment = m.GetEnvironmentId()
		}
	})
	if err != nil {
		return suite, err
	}
	known, now, err := contract.Known(ctx, &decider.Streams{Log: f.log, Codec: f.codec})
	if err != nil {
		return suite, err
	}
	running := contract.Running(known, now)
	for _, name := range flows.Services {
		s, err := f.service(ctx, name)
		if err != nil {
			return suite, err
		}
		s.Rollouts = rollouts[string(name)]
		for _, r := range running {
			if r.Service == name {
				s.Replicas = append(s.Replicas, r)
			}
		}
		suite.Services = append(suite.Services, s)
	}
	return suite, nil
}

func (f *Flows) service(ctx context.Context, name flows.Service) (Service, error) {
	s := Service{Name: name, Images: map[string]*flowv1.ContractAnnounced{}}
	contracts := map[string]*flowv1.ContractAnnounced{}
	err := f.read(ctx, flows.ContractStream(name), eventlog.Forward, 0, 0, func(e codec.Event) {
		switch m := e.Message.(type) {
		case *flowv1.ContractAnnounced:
			contracts[e.ID.String()] = m
			s.Contracts = append(s.Contracts, m)
		case *flowv1.ImageAnnounced:
			if c, ok := contracts[m.GetContractId()]; ok {
				s.Images[m.GetImage()] = c
			}
		}
	})
	return s, err
}

// Rolling is an event of a service's rollout.
type Rolling interface {
	proto.Message
	GetService() string
}

// TellRollout appends an event of a service's rollout, under the revision that the
// suite was read at: who was deposed meanwhile can't. It fails with ErrOvertaken.
func (f *Flows) TellRollout(ctx context.Context, suite Suite, rolling Rolling, by string) error {
	event := told{id: uuid.New(), message: rolling, by: by, subject: rolling.GetService()}
	switch _, err := f.append(ctx, flows.RolloutsStream, suite.revision, event); {
	case errors.Is(err, eventlog.ErrWrongRevision):
		return fmt.Errorf("%s: %w", flows.RolloutsStream, ErrOvertaken)
	case err != nil:
		return fmt.Errorf("tell of the rollout of %s: %w", rolling.GetService(), err)
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
