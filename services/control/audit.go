package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow/audit"
)

// Position is a place in the store.
type Position = eventlog.Position

// Errors about audits.
var (
	// ErrAuditWhat says that an audit is asked for twice over.
	ErrAuditWhat = errors.New("say which epoch to audit, or from where to where, not both")
	// ErrAuditRange says that a range can't be meant.
	ErrAuditRange = audit.ErrRange
	// ErrNoEpoch says that nobody has asked for such an epoch.
	ErrNoEpoch = audit.ErrNoEpoch
	// ErrNotTakenIn says that the flow has not come to the end of the range.
	ErrNotTakenIn = audit.ErrNotTakenIn
	// ErrNotAudited says that the consumer could not compare anything.
	ErrNotAudited = errors.New("the consumer could not compare its tables with the log")
)

// AuditOf says what to audit: an epoch, or a range of the log with both ends
// included, or, where neither is given, the present epoch as far as it has come.
type AuditOf struct {
	Epoch    uint64
	From, To *Position
}

// check tells what can't be meant, before anybody is asked.
func (o AuditOf) check() error {
	switch {
	case o.Epoch > 0 && (o.From != nil || o.To != nil):
		return ErrAuditWhat
	case o.From != nil && o.To != nil && o.To.Compare(*o.From) < 0:
		return fmt.Errorf("from %s to %s is a step back: %w", o.From, o.To, ErrAuditRange)
	}
	return nil
}

func (o AuditOf) request(flow, by string) *flowv1.AuditRequested {
	return &flowv1.AuditRequested{Flow: flow, Epoch: o.Epoch, From: wirePlace(o.From), To: wirePlace(o.To), By: by}
}

func wirePlace(p *Position) *flowv1.Position {
	if p == nil {
		return nil
	}
	return &flowv1.Position{Commit: p.Commit, Prepare: p.Prepare}
}

// Audit has a flow audited: its consumer is asked what its tables hold, and that
// is held against what the log says. It fails with ErrUnknownFlow, ErrAuditWhat,
// ErrAuditRange, ErrNoEpoch, ErrNotTakenIn and ErrNotAudited.
func (f *Flows) Audit(ctx context.Context, name string, of AuditOf, by string) (*Audit, error) {
	flow, err := f.find(name)
	if err != nil {
		return nil, err
	}
	if err := of.check(); err != nil {
		return nil, err
	}
	source := f.source(flow)
	head, err := source.Head(ctx)
	if err != nil {
		return nil, err
	}
	for _, end := range []*Position{of.From, of.To} {
		if end != nil && head.Compare(*end) < 0 {
			return nil, fmt.Errorf("the log ends at %s: %w", head, ErrNotTakenIn)
		}
	}
	request, err := f.askForAudit(ctx, source, of, by)
	if err != nil {
		return nil, err
	}
	completed, err := f.waitCompleted(ctx, source, request)
	if err != nil {
		return nil, err
	}
	switch completed.GetOutcome() {
	case flowv1.AuditOutcome_AUDIT_OUTCOME_COMPARED:
		return f.holdAgainstLog(ctx, source, of.request(name, by), completed)
	case flowv1.AuditOutcome_AUDIT_OUTCOME_NOT_TAKEN_IN:
		return nil, fmt.Errorf("the flow is at %s: %w", audit.Place(completed.GetPosition()), ErrNotTakenIn)
	default:
		return nil, fmt.Errorf("%w: %s", ErrNotAudited, completed.GetReason())
	}
}

// source is a flow in the log, read without anybody's keys.
func (f *Flows) source(flow flows.Flow) audit.Source {
	return audit.Source{Log: f.log, Flow: flow, Decode: func(_ context.Context, e eventlog.Event) (codec.Event, error) {
		return f.codec.DecodeSealed(e)
	}}
}

// askForAudit appends the request, unless the same one waits for an answer.
func (f *Flows) askForAudit(ctx context.Context, source audit.Source, of AuditOf, by string) (uuid.UUID, error) {
	steering, err := source.Steering(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	if of.Epoch > 0 {
		if _, ok := audit.Find(steering.Epochs, of.Epoch); !ok {
			return uuid.Nil, fmt.Errorf("epoch %d: %w; the last one is epoch %d", of.Epoch, ErrNoEpoch, steering.Epochs[len(steering.Epochs)-1].Number)
		}
	}
	asked := of.request(source.Flow.Name, by)
	for _, before := range steering.Audits {
		if steering.Completed[before.ID.String()] == nil && proto.Equal(before.AuditRequested, asked) {
			return before.ID, nil
		}
	}
	id := uuid.New()
	_, err = f.steer(ctx, source.Flow, by, id, func(*State) (proto.Message, error) { return asked, nil })
	return id, err
}

func (f *Flows) waitCompleted(ctx context.Context, source audit.Source, request uuid.UUID) (*flowv1.AuditCompleted, error) {
	for {
		steering, err := source.Steering(ctx)
		if err != nil {
			return nil, err
		}
		if completed := steering.Completed[request.String()]; completed != nil {
			return completed, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s has not answered yet: %w", source.Flow.Name, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func completedLine(m *flowv1.AuditCompleted) string {
	switch m.GetOutcome() {
	case flowv1.AuditOutcome_AUDIT_OUTCOME_COMPARED:
		return fmt.Sprintf("tables compared with the log up to %s", audit.Place(m.GetPosition()))
	default:
		return "audit not done: " + m.GetReason()
	}
}
