package simulation

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
)

// checkControl checks what each flow told of itself.
func (w *world) checkControl(ctx context.Context, l history) {
	for _, f := range flows.Catalogue {
		w.checkFlow(ctx, f, l)
	}
}

// told is a control event by what it is about: it comes once.
func told(m proto.Message) (what string, ok bool) {
	switch m := m.(type) {
	case *flowv1.EpochClosed:
		return "epoch closed " + decimal(m.GetEpoch()), true
	case *flowv1.CadenceAdopted:
		return "cadence adopted " + decimal(m.GetEpoch()), true
	case *flowv1.WindowOpened:
		return "window opened " + decimal(m.GetEpoch()) + m.GetDue().String(), true
	case *flowv1.WindowClosed:
		return "window closed " + m.GetMarkerId(), true
	case *flowv1.EventParked:
		return "parked " + m.GetEventId(), true
	case *flowv1.ParkingAnswered:
		return "answered " + m.GetRequestId(), true
	default:
		return "", false
	}
}

// checkFlow wants each control event of a flow told once, each request for an
// epoch followed, and each event of the flow in one epoch.
func (w *world) checkFlow(ctx context.Context, f flows.Flow, l history) {
	times, counted := map[string]int{}, uint64(0)
	var epochs, requests []string
	for _, e := range l.all {
		if e.Stream != flows.ControlStream(f.Name) && !strings.HasPrefix(e.Stream, flows.ControlStream(f.Name)+":") {
			continue
		}
		if what, ok := told(e.Message); ok {
			times[what]++
		}
		switch m := e.Message.(type) {
		case *flowv1.EpochClosed:
			counted += m.GetCount()
		case *flowv1.CadenceRequested:
			epochs = append(epochs, decimal(m.GetEpoch()-1), decimal(m.GetEpoch()))
		case *flowv1.RetryRequested, *flowv1.SkipRequested:
			requests = append(requests, e.ID.String())
		}
	}
	for what, n := range times {
		if n != 1 {
			w.diverge("%s told %d times: %s", f.Name, n, what)
		}
	}
	for i, epoch := range epochs {
		if what := []string{"epoch closed ", "cadence adopted "}[i%2] + epoch; times[what] != 1 {
			w.diverge("%s told %d times: %s", f.Name, times[what], what)
		}
	}
	for _, id := range requests {
		if times["answered "+id] != 1 {
			w.diverge("%s answered the request %s %d times", f.Name, id, times["answered "+id])
		}
	}
	w.checkCounts(ctx, f, l, counted)
}

// checkCounts wants the events of a flow that the log holds to be those of its
// epochs: the closed ones, and the one that is open.
func (w *world) checkCounts(ctx context.Context, f flows.Flow, l history, closed uint64) {
	produced := uint64(0)
	for _, e := range l.raw {
		if slices.Contains(f.Types, e.Type) {
			produced++
		}
	}
	last := uint64(0)
	for _, e := range w.readStream(ctx, flows.ProgressStream(f.Name)) {
		if progress, ok := e.Message.(*flowv1.FlowProgressed); ok {
			last = progress.GetTaken()
		}
	}
	if closed+last != produced {
		w.diverge("%s: its epochs closed with %d events and the open one has %d, of %d in the log", f.Name, closed, last, produced)
	}
}

func (w *world) readStream(ctx context.Context, stream string) (all []codec.Event) {
	for e, err := range w.log.ReadStream(ctx, stream, 0, 0, 0) {
		if err != nil {
			w.diverge("read %s: %v", stream, err)
			break
		}
		event, err := w.codec.Decode(ctx, e)
		if err != nil {
			w.diverge("read %s: %v", stream, err)
			break
		}
		all = append(all, event)
	}
	return all
}
