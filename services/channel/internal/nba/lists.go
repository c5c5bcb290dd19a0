package nba

import (
	"context"
	"fmt"
	"time"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/tracing"
)

// The flows on the path from an event to the list that it leads to.
var (
	// PathOfClaims is for a visitor whom CRM must recognise first.
	PathOfClaims = []string{"contacts", "customer-view", "contact-events", Flow}
	// PathOfEvents is for what happens in a contact.
	PathOfEvents = []string{"contact-events", Flow}
)

// Lists are the next best actions that the channel has.
type Lists struct {
	db      *projection.DB
	cadence func(flow string) string
	tracer  *tracing.Tracer
	metrics *Metrics
}

// NewLists returns the lists in db. cadence tells at which cadence a flow runs;
// empty when that is not known yet. What comes of waiting is measured by metrics, and
// told by tracer; it may be nil.
func NewLists(db *projection.DB, cadence func(flow string) string, tracer *tracing.Tracer, metrics *Metrics) *Lists {
	return &Lists{db: db, cadence: cadence, tracer: tracer, metrics: metrics}
}

// Call is a call whose caller waits for the list that it leads to.
type Call struct {
	ContactID, CorrelationID string
	// Path is the flows between the call and its list.
	Path []string
	// Budget is how long to wait.
	Budget time.Duration
	// Void tells why no list comes of the call any more, whatever the flows do; empty
	// as long as one may. It is asked again while the call waits.
	Void func(ctx context.Context, q projection.Querier) (reason string, err error)
}

// Await returns the list that marketing decided for the call. It waits for it
// within the budget, and not at all when a flow on the path is not in real time.
// When there is none it returns nil, and why.
func (l *Lists) Await(ctx context.Context, call Call) (list *channelv1.Actions, reason string, err error) {
	began := time.Now()
	list, reason, err = l.settled(ctx, l.db, call)
	if err != nil {
		return list, reason, err
	}
	if list == nil && reason == "" {
		var why string
		if reason, why = l.slow(call.Path); reason != "" {
			l.metrics.passed(why)
			return nil, reason, nil
		}
		if list, reason, err = l.wait(ctx, call); err != nil {
			return list, reason, err
		}
	}
	switch {
	case list != nil:
		l.metrics.waited(ctx, inTime, time.Since(began))
	case reason != "":
		l.metrics.passed(whyVoid)
	default:
		reason = fmt.Sprintf("no decision within %s", call.Budget)
		l.metrics.waited(ctx, late, time.Since(began))
	}
	return list, reason, nil
}

// wait waits within the budget, and tells of it. It returns neither list nor reason
// when time was up.
func (l *Lists) wait(ctx context.Context, call Call) (list *channelv1.Actions, reason string, err error) {
	ctx, span := l.tracer.Wait(ctx, Flow, call.Budget)
	list, reason, err = l.await(ctx, call)
	l.tellWaited(ctx, span, call, list != nil, reason != "", err)
	return list, reason, err
}

func (l *Lists) await(ctx context.Context, call Call) (list *channelv1.Actions, reason string, err error) {
	waiting, cancel := context.WithTimeout(ctx, call.Budget)
	defer cancel()
	came, err := l.db.Await(waiting, func(ctx context.Context, q projection.Querier) (_ bool, err error) {
		list, reason, err = l.settled(ctx, q, call)
		return list != nil || reason != "", err
	})
	if came || err != nil {
		return list, reason, err
	}
	// It may have come in the very moment that time was up.
	return l.settled(ctx, l.db, call)
}

// tellWaited ends the span of a wait, which leads on to that of the decision. What
// that takes is looked up only where somebody records it.
func (l *Lists) tellWaited(ctx context.Context, span tracing.Span, call Call, came, inVain bool, failed error) {
	if !span.IsRecording() {
		return
	}
	outcome, decision := tracing.TimeUp, tracing.Origin{}
	switch {
	case came:
		outcome = tracing.Came
		// Without its trace there is no link: nothing else is lost by it.
		_ = l.db.QueryRow(ctx, `SELECT traceparent FROM nba WHERE contact_id = ? AND correlation_id = ?`,
			call.ContactID, call.CorrelationID).Scan(&decision.TraceParent)
	case inVain:
		outcome = tracing.InVain
	}
	span.Waited(outcome, decision, failed)
}

// settled returns the list, or why there will be none; neither when it is still to be
// waited for.
func (l *Lists) settled(ctx context.Context, q projection.Querier, call Call) (list *channelv1.Actions, reason string, err error) {
	if list, err = l.decided(ctx, q, call); list != nil || err != nil {
		return list, "", err
	}
	reason, err = call.Void(ctx, q)
	return nil, reason, err
}

func (l *Lists) decided(ctx context.Context, q projection.Querier, call Call) (*channelv1.Actions, error) {
	return find(ctx, q, channelv1.ListSource_LIST_SOURCE_DECIDED,
		`WHERE contact_id = ? AND correlation_id = ?`, call.ContactID, call.CorrelationID)
}

// slow says which flow on the path is not in real time, and why that is so in one
// word; empty when all are.
func (l *Lists) slow(path []string) (reason, why string) {
	for _, name := range path {
		cadence := l.cadence(name)
		switch cadence {
		case flows.RealTime:
			continue
		case "":
			reason = fmt.Sprintf("flow %s has not begun", name)
		case flows.Paused:
			reason = fmt.Sprintf("flow %s is paused", name)
		default:
			reason = fmt.Sprintf("flow %s runs %s", name, cadence)
		}
		return reason, whyOf(cadence)
	}
	return "", ""
}

// LastKnown returns the last list of the contact, else of the customer, with the
// reason why it is not one for this very call. There may be none: then only the
// reason is there.
func (l *Lists) LastKnown(ctx context.Context, contactID, customerID, reason string) (*channelv1.Actions, error) {
	const source = channelv1.ListSource_LIST_SOURCE_LAST_KNOWN
	list, err := find(ctx, l.db, source, `JOIN nba_contact AS last
		ON last.contact_id = nba.contact_id AND last.correlation_id = nba.correlation_id WHERE last.contact_id = ?`, contactID)
	if list == nil && err == nil && customerID != "" {
		list, err = find(ctx, l.db, source, `JOIN nba_customer AS last
			ON last.contact_id = nba.contact_id AND last.correlation_id = nba.correlation_id WHERE last.customer_id = ?`, customerID)
	}
	if err != nil {
		return nil, err
	}
	if list == nil {
		list = &channelv1.Actions{}
	}
	list.Reason = reason
	return list, nil
}
