package contact

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// OwnFlow is the channel's own events about requests, back to itself.
var OwnFlow = ownFlow()

func ownFlow() flows.Flow {
	f := flow.Own(flows.Channel, []string{"channel.RequestSubmitted", "channel.RequestHandled", "channel.RequestHandledInPart"}, []string{"request_id"})
	f.Name += "-requests"
	return f
}

// Schema is the table of the requests of which nobody knows yet what came of
// them. In a quiet moment it is empty.
var Schema = projection.Schema{Name: "request_unsettled", Version: 1, Tables: []string{
	`CREATE TABLE request_unsettled (
		request_id TEXT PRIMARY KEY, contact_id TEXT NOT NULL, submitted_at BIGINT NOT NULL, correlation_id TEXT NOT NULL,
		event_id TEXT NOT NULL, commit_position BIGINT NOT NULL, prepare_position BIGINT NOT NULL)`,
}}

// Project writes an event about a request into the table.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) (err error) {
	switch m := e.Message.(type) {
	case *channelv1.RequestSubmitted:
		err = tx.Write(ctx, `INSERT INTO request_unsettled
			(request_id, contact_id, submitted_at, correlation_id, event_id, commit_position, prepare_position) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			m.GetRequestId(), m.GetContactId(), e.Metadata.Time.UnixNano(), e.Metadata.CorrelationID,
			e.ID.String(), e.Position.Commit, e.Position.Prepare)
	case interface{ GetRequestId() string }:
		err = tx.Write(ctx, `DELETE FROM request_unsettled WHERE request_id = ?`, m.GetRequestId())
	}
	if err != nil {
		return fmt.Errorf("write what is not settled: %w", err)
	}
	return nil
}

// grace is how long a call has to settle its request, or to be repeated.
const grace = time.Minute

// Settler hands requests to CRM whose call ended before anybody knew what came of
// them, and was not repeated: a process that dies must not leave a visitor
// waiting for ever. Its Round is a worker's.
type Settler struct {
	Streams *decider.Streams
	DB      *projection.DB
	Now     func() time.Time
}

// leftBehind is a request that nobody has settled.
type leftBehind struct {
	requestID, contactID string
	submittedAt          int64
	origin               decider.Origin
}

// Round settles what has had its time, and is due again when the next one has.
func (s *Settler) Round(ctx context.Context) (again time.Time, err error) {
	rows, err := s.DB.Query(ctx, `SELECT request_id, contact_id, submitted_at, correlation_id, event_id, commit_position, prepare_position
		FROM request_unsettled ORDER BY submitted_at, request_id`)
	if err != nil {
		return time.Time{}, fmt.Errorf("look for what is not settled: %w", err)
	}
	all, err := projection.Collect(rows, func(row projection.Scanner, l *leftBehind) error {
		cause := &l.origin.CausePosition
		return row.Scan(&l.requestID, &l.contactID, &l.submittedAt, &l.origin.CorrelationID, &l.origin.CausationID, &cause.Commit, &cause.Prepare)
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("look for what is not settled: %w", err)
	}
	now := s.Now().UTC()
	for _, l := range all {
		if due := time.Unix(0, l.submittedAt).Add(grace); due.After(now) {
			return due, nil // the others came later
		}
		if err := s.settle(ctx, l, now); err != nil {
			return time.Time{}, fmt.Errorf("settle request %s: %w", l.requestID, err)
		}
	}
	return time.Time{}, nil
}

func (s *Settler) settle(ctx context.Context, l leftBehind, now time.Time) error {
	id, err := uuid.Parse(l.origin.CausationID)
	if err != nil {
		return fmt.Errorf("the event that submitted it: %w", err)
	}
	origin := settling(l.requestID, id, l.origin.CausePosition, l.origin.CorrelationID, now)
	command := Settle{RequestID: l.requestID, Handling: Handling{
		How: channelv1.Handling_HANDLING_PENDING, Detail: "the channel was interrupted while it asked the back office",
	}}
	_, err = decider.Handle(ctx, s.Streams, origin, Stream(l.contactID), Decider, command.Decide)
	return err
}

// settling is the origin of what comes of a request. It derives from the request
// alone: whoever settles it first, and there may be several, settles it for all.
func settling(requestID string, cause uuid.UUID, at eventlog.Position, correlationID string, now time.Time) decider.Origin {
	return decider.Origin{
		Key:           "request:" + requestID + ":handling",
		Service:       flows.Channel,
		Time:          now,
		CorrelationID: correlationID,
		CausationID:   cause.String(),
		CausePosition: at,
	}
}
