package contract

import (
	"context"
	"errors"
	"fmt"
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Known returns the replicas that the streams tell of, and when the last of them
// was seen: that is now, by the store's time, as closely as the streams tell it.
// Should all have died at once, they all seem to run: rather that than the other
// mistake.
func Known(ctx context.Context, s *decider.Streams) (known []Replica, now time.Time, err error) {
	for _, service := range flows.Services {
		of, err := replicasOf(ctx, s, service)
		if err != nil {
			return nil, now, err
		}
		for _, r := range of {
			if r.Seen.After(now) {
				now = r.Seen
			}
		}
		known = append(known, of...)
	}
	return known, now, nil
}

func replicasOf(ctx context.Context, s *decider.Streams, service flows.Service) ([]Replica, error) {
	contracts := map[string]*flowv1.ContractAnnounced{}
	err := read(ctx, s, flows.ContractStream(service), 0, func(e codec.Event) {
		if c, ok := e.Message.(*flowv1.ContractAnnounced); ok {
			contracts[e.ID.String()] = c
		}
	})
	if err != nil {
		return nil, err
	}
	var all []Replica
	place := map[string]int{}
	err = read(ctx, s, flows.ReplicasStream(service), 0, func(e codec.Event) {
		switch m := e.Message.(type) {
		case *flowv1.ReplicaSeen:
			r := Replica{Service: service, Instance: m.GetInstance(), Build: m.GetBuild(), Since: e.Created, Seen: e.Created, Contract: contracts[m.GetContractId()]}
			r.Image, r.Calls, r.Failed = m.GetImage(), m.GetCalls(), m.GetFailed()
			if i, ok := place[r.Instance]; ok {
				r.Since = all[i].Since
				all[i] = r
				return
			}
			place[r.Instance] = len(all)
			all = append(all, r)
		case *flowv1.ReplicaLeft:
			if i, ok := place[m.GetInstance()]; ok {
				all[i].Left = true
			}
		}
	})
	return all, err
}

// Activated is a type that is active, and the place in the log after which it is
// written.
type Activated struct {
	*flowv1.TypeActivated
	Position eventlog.Position
}

// Activations returns the types that are active, in the order in which they became
// so, and the revision that the next one will have in its stream.
func Activations(ctx context.Context, s *decider.Streams) (active []Activated, next uint64, err error) {
	err = read(ctx, s, flows.ActivationsStream, 0, func(e codec.Event) {
		next = e.Revision + 1
		if a, ok := e.Message.(*flowv1.TypeActivated); ok {
			active = append(active, Activated{a, e.Position})
		}
	})
	return active, next, err
}

func read(ctx context.Context, s *decider.Streams, stream string, from uint64, each func(codec.Event)) error {
	for raw, err := range s.Log.ReadStream(ctx, stream, eventlog.Forward, from, 0) {
		if errors.Is(err, eventlog.ErrNoStream) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", stream, err)
		}
		e, err := s.Codec.Decode(ctx, raw)
		if err != nil {
			return fmt.Errorf("read %s: %w", stream, err)
		}
		each(e)
	}
	return nil
}
