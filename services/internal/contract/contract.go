// Package contract has what the builds of the services can read and write: read
// first, write later.
//
//	a replica starts ──▶ its contract is announced ──▶ does it read all that is active?
//	                                                     │ no: it ends, and says why
//	                                                     ▼ yes
//	                          it says that it runs, again and again ──▶ it says that it leaves
//
//	every replica that runs reads a gated type ──▶ TypeActivated ──▶ writers write it
//
// Until a type is active a service may be rolled forward and back at will, as
// nobody has written it. Afterwards a build that can't take it in does not start:
// it would pass over events. That holds at each flow too, see package flow: no
// flow that carries the type goes past its activation with such a build, whatever
// replicas know of each other.
package contract

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
)

// namespace is what the ids of contracts derive from.
var namespace = uuid.MustParse("8f0b8a0e-0d0a-5d55-8a3f-6f0c1c9d7b21")

// Of returns the contract of this build of a service, which takes in the given
// flows. It reads every event that the codec knows, and writes those that are
// named for it and control events.
func Of(service flows.Service, build string, taken ...flows.Flow) (*flowv1.ContractAnnounced, error) {
	types, err := codec.Types()
	if err != nil {
		return nil, fmt.Errorf("contracts: %w", err)
	}
	c := &flowv1.ContractAnnounced{Service: string(service), Build: build}
	for _, t := range types {
		c.Reads = append(c.Reads, string(t.Schema))
		own := strings.HasPrefix(t.Name, string(service)+".")
		if own || strings.HasPrefix(t.Name, "flow.") {
			c.Writes = append(c.Writes, string(t.Schema))
		}
		if own && slices.Contains(flows.Gated, string(t.Schema)) {
			c.Gated = append(c.Gated, string(t.Schema))
		}
	}
	for _, f := range taken {
		c.Flows = append(c.Flows, &flowv1.FlowTypes{Flow: f.Name, Types: slices.Sorted(slices.Values(f.Types))})
		if of, ok := flows.Find(f.Name); ok {
			c.Catalogue = append(c.Catalogue, of.Data())
		}
	}
	slices.SortFunc(c.Catalogue, func(a, b *flowv1.CatalogueFlow) int { return strings.Compare(a.GetName(), b.GetName()) })
	slices.SortFunc(c.Flows, func(a, b *flowv1.FlowTypes) int { return strings.Compare(a.GetFlow(), b.GetFlow()) })
	return c, nil
}

// ID derives the id of a contract's announcement from what it says, so that it is
// announced once, whichever build says it.
func ID(c *flowv1.ContractAnnounced) (uuid.UUID, error) {
	same := proto.CloneOf(c)
	same.Build = ""
	text, err := codec.Canonical(same)
	if err != nil {
		return uuid.Nil, fmt.Errorf("digest of a contract: %w", err)
	}
	return uuid.NewSHA1(namespace, text), nil
}

// Announce says once what a build reads and writes, whichever replica says it, and
// returns the id of what was said. Where the image is known that has the build, it
// says that, too.
func Announce(ctx context.Context, s *decider.Streams, c *flowv1.ContractAnnounced, image string) (uuid.UUID, error) {
	id, err := ID(c)
	if err != nil {
		return id, err
	}
	if err := ensure(ctx, s, c, id, c); err != nil || image == "" {
		return id, err
	}
	of := &flowv1.ImageAnnounced{Service: c.GetService(), Image: image, Build: c.GetBuild(), ContractId: id.String()}
	return id, ensure(ctx, s, c, uuid.NewSHA1(namespace, []byte(image+"\n"+c.GetBuild()+"\n"+id.String())), of)
}

func ensure(ctx context.Context, s *decider.Streams, c *flowv1.ContractAnnounced, id uuid.UUID, said proto.Message) error {
	service := flows.Service(c.GetService())
	origin := decider.Origin{Key: "contract:" + id.String(), Service: service, Time: time.Now().UTC()}
	if _, err := decider.Ensure(ctx, s, origin, flows.ContractStream(service), id, said); err != nil {
		return fmt.Errorf("announce the contract: %w", err)
	}
	return nil
}

// Lacks tells what a build lacks to take in an active type; empty when it lacks
// nothing. It is pure.
func Lacks(c *flowv1.ContractAnnounced, a *flowv1.TypeActivated) string {
	if !slices.Contains(c.GetReads(), a.GetSchema()) {
		return "does not read " + a.GetSchema()
	}
	name := codec.NameOf(a.GetSchema())
	for _, f := range c.GetFlows() {
		if slices.Contains(a.GetFlows(), f.GetFlow()) && !slices.Contains(f.GetTypes(), name) {
			return "takes in " + f.GetFlow() + " without " + name
		}
	}
	return ""
}
