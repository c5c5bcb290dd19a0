package story

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

const contact = "11111111-0000-4000-8000-000000000001"

// sunday is the evening before the weekly windows.
var sunday = time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)

// world is a log that a test writes, by a clock of its own.
type world struct {
	t     *testing.T
	log   *memory.Log
	codec *codec.Codec
	now   time.Time
	made  map[string]wrote // by the name that the test gave an event
}

type wrote struct {
	id uuid.UUID
	at eventlog.Position
	by codec.Metadata
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: sunday, made: map[string]wrote{}}
	w.log = memory.New(memory.Options{Now: func() time.Time { return w.now }})
	var err error
	if w.codec, err = codec.New(keyring.Memory()); err != nil {
		t.Fatal(err)
	}
	return w
}

// after lets time pass.
func (w *world) after(d time.Duration) *world {
	w.now = w.now.Add(d)
	return w
}

// call appends what a service made of a call, under a name.
func (w *world) call(name string, service flows.Service, stream string, m proto.Message) {
	w.t.Helper()
	id := uuid.NewSHA1(uuid.Nil, []byte(name))
	w.append(name, stream, m, codec.Metadata{
		Source: codec.Source(service), Time: w.now, CorrelationID: id.String(), Origin: "call:" + name,
		TraceParent: "00-" + strings.ReplaceAll(id.String(), "-", "") + "-00f067aa0ba902b7-01",
	})
}

// answer appends what a service's handler made of a cause.
func (w *world) answer(name, cause string, service flows.Service, handler, stream string, m proto.Message) {
	w.t.Helper()
	of := w.made[cause]
	w.append(name, stream, m, codec.Metadata{
		Source: codec.Source(service), Time: w.now, CorrelationID: of.by.CorrelationID, CausationID: of.id.String(), CausePosition: of.at,
		Origin: "reaction:" + handler + ":" + of.id.String(), TraceParent: of.by.TraceParent,
	})
}

// control appends a control event of a flow's consumer.
func (w *world) control(name, stream string, m proto.Message) {
	w.t.Helper()
	w.append(name, stream, m, codec.Metadata{Source: "/triangle/consumer", Time: w.now})
}

func (w *world) append(name, stream string, m proto.Message, md codec.Metadata) {
	w.t.Helper()
	id := uuid.NewSHA1(uuid.Nil, []byte(name))
	e, err := w.codec.Encode(w.t.Context(), m, id, md)
	if err != nil {
		w.t.Fatal(err)
	}
	w.raw(name, stream, e, md)
}

// raw appends an event as it is.
func (w *world) raw(name, stream string, e eventlog.NewEvent, md codec.Metadata) {
	w.t.Helper()
	appended, err := w.log.Append(w.t.Context(), stream, eventlog.Any, e)
	if err != nil {
		w.t.Fatal(err)
	}
	w.made[name] = wrote{e.ID, appended.Position, md}
}

// place is where the last event stands.
func (w *world) place() *flowv1.Position {
	w.t.Helper()
	for e, err := range w.log.ReadAll(w.t.Context(), eventlog.Backward, nil, 1) {
		if err != nil {
			w.t.Fatal(err)
		}
		return &flowv1.Position{Commit: e.Position.Commit, Prepare: e.Position.Prepare}
	}
	return nil
}

// progress has a flow's consumer say that it has come to where the log ends.
func (w *world) progress(flow string, epoch uint64) {
	w.t.Helper()
	at := w.place()
	w.control(fmt.Sprintf("progress of %s at %d", flow, at.GetCommit()), flows.ProgressStream(flow), &flowv1.FlowProgressed{Flow: flow, Epoch: epoch, Position: at})
}

// tell reads a story.
func (w *world) tell(id string, o Options) (*Story, error) {
	w.t.Helper()
	r, err := newReader(w.log, func() time.Time { return w.now })
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Of(context.Background(), id, o)
}

// outline writes a story as tests compare it.
func outline(s *Story) string {
	var b strings.Builder
	s.All(func(h *Happening, depth int) {
		indent := strings.Repeat("  ", depth)
		hop := ""
		if h.Hop != nil {
			hop = " +" + h.Hop.String()
		}
		fmt.Fprintf(&b, "%s%s: %s%s\n", indent, h.Service, h.Words, hop)
		if h.Problem != "" {
			fmt.Fprintf(&b, "%s  ! %s\n", indent, h.Problem)
		}
		if h.Origin != nil {
			fmt.Fprintf(&b, "%s  of %s in %s\n", indent, h.Origin.Type, h.Origin.Stream)
		}
		for _, d := range h.Deliveries {
			fmt.Fprintf(&b, "%s  > %s\n", indent, delivery(h, d))
		}
	})
	return b.String()
}

func delivery(h *Happening, d *Delivery) string {
	text := fmt.Sprintf("%s %s", d.Flow, d.State)
	if !d.At.IsZero() {
		text += " +" + d.At.Sub(h.At).String()
	}
	for _, more := range []string{d.Window, d.Note} {
		if more != "" {
			text += ", " + more
		}
	}
	if !d.Due.IsZero() {
		text += ", due " + moment(d.Due)
	}
	if d.Answered {
		text += ", answered"
	}
	return text
}
