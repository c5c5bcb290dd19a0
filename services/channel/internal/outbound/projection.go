package outbound

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// OrderFlow is the flow that orders come over.
const OrderFlow = "lead-dispatch"

// OwnFlow is the channel's own events about messages, back to itself.
var OwnFlow = flow.Own(flows.Channel, []string{
	"channel.MessageAccepted", "channel.MessageSent", "channel.MessageRefused", "channel.MessageBounced", "channel.MessageOutcomeUnknown",
	"channel.CallTaken", "channel.CallReturned", "channel.CallEnded",
}, []string{"message_id"})

// Schema is the table of messages, and that of calls. seq is the place in the log of
// the event that accepted it, address is where it went, and returned why a call came
// back.
var Schema = projection.Schema{
	Name: "message", Version: 6,
	Sealed: []projection.Sealed{
		{Table: "message", Column: "address", Subject: "customer", Of: "customer_id"},
		{Table: "message", Column: "returned", Subject: "customer", Of: "customer_id", Only: `returned <> '` + notEndedInTime + `'`},
	},
	Tables: append([]string{
		`CREATE TABLE message (
			message_id TEXT PRIMARY KEY, seq BIGINT NOT NULL, lead_id TEXT NOT NULL, customer_id TEXT NOT NULL,
			channel INTEGER NOT NULL, proposition_id TEXT NOT NULL, content TEXT NOT NULL,
			state INTEGER NOT NULL, detail TEXT NOT NULL, call_state INTEGER NOT NULL, agent_id TEXT NOT NULL,
			address TEXT NOT NULL, returned TEXT NOT NULL)`,
		`CREATE INDEX message_seq ON message (seq)`,
		`CREATE INDEX message_state ON message (state, seq)`,
		`CREATE INDEX message_channel ON message (channel, seq)`,
		`CREATE INDEX message_call ON message (call_state, seq)`,
		`CREATE INDEX message_lead ON message (lead_id)`,
	}, listed.Statements()...),
}

// Project writes an event about a message into the table.
func Project(ctx context.Context, tx *projection.Tx, e codec.Event) (err error) {
	state, detail := stateAfter(e.Message)
	switch m := e.Message.(type) {
	case *channelv1.MessageAccepted:
		return insert(ctx, tx, m, e.Position, state)
	case *channelv1.CallTaken:
		err = tx.Write(ctx, `UPDATE message SET call_state = ?, agent_id = ?, address = ? WHERE message_id = ?`,
			channelv1.CallState_CALL_STATE_TAKEN, m.GetAgentId(), m.GetAddress(), m.GetMessageId())
	case *channelv1.CallReturned:
		err = tx.Write(ctx, `UPDATE message SET call_state = ?, agent_id = '', returned = ? WHERE message_id = ?`,
			channelv1.CallState_CALL_STATE_WAITING, whyReturned(m), m.GetMessageId())
	case *channelv1.CallEnded:
		err = tx.Write(ctx, `UPDATE message SET call_state = ? WHERE message_id = ?`, ended(m.GetResult()), m.GetMessageId())
	case *channelv1.MessageSent:
		waits := channelv1.CallState_CALL_STATE_UNSPECIFIED
		if m.GetChannel() == callCentre {
			waits = channelv1.CallState_CALL_STATE_WAITING
		}
		err = tx.Write(ctx, `UPDATE message SET state = ?, detail = ?, call_state = ?, address = ? WHERE message_id = ?`,
			state, detail, waits, m.GetAddress(), m.GetMessageId())
	case interface{ GetMessageId() string }:
		// What came back waits for no agent any more.
		err = tx.Write(ctx, `UPDATE message SET state = ?, detail = ?, call_state = CASE call_state WHEN ? THEN 0 ELSE call_state END WHERE message_id = ?`,
			state, detail, channelv1.CallState_CALL_STATE_WAITING, m.GetMessageId())
	}
	if err != nil {
		return fmt.Errorf("write where a message stands: %w", err)
	}
	return projectCall(ctx, tx, e)
}

const callCentre = journeyv1.Channel_CHANNEL_CALL_CENTRE

// projectCall writes an event about a call into the table of those on the list.
func projectCall(ctx context.Context, tx *projection.Tx, e codec.Event) error {
	switch m := e.Message.(type) {
	case *channelv1.MessageSent:
		if m.GetChannel() == callCentre {
			return listed.Begin(ctx, tx, m.GetMessageId(), noChannel)
		}
	case *channelv1.CallTaken:
		if err := listed.Move(ctx, tx, m.GetMessageId(), callCentre); err != nil {
			return err
		}
		return listed.Touch(ctx, tx, m.GetMessageId(), e)
	case *channelv1.CallReturned:
		return listed.Move(ctx, tx, m.GetMessageId(), noChannel)
	case *channelv1.CallEnded, *channelv1.MessageBounced:
		return listed.End(ctx, tx, m.(interface{ GetMessageId() string }).GetMessageId()) //nolint:forcetypeassert // both have one
	}
	return nil
}

const noChannel = journeyv1.Channel_CHANNEL_UNSPECIFIED

func insert(ctx context.Context, tx *projection.Tx, m *channelv1.MessageAccepted, at eventlog.Position, state channelv1.MessageState) error {
	err := tx.Write(ctx, `INSERT INTO message (message_id, seq, lead_id, customer_id, channel, proposition_id, content, state, detail, call_state, agent_id, address, returned)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', 0, '', '', '')`,
		m.GetMessageId(), at.Commit, m.GetLeadId(), m.GetCustomerId(), m.GetChannel(), m.GetPropositionId(), m.GetContent(), state)
	if err != nil {
		return fmt.Errorf("write a message: %w", err)
	}
	return nil
}

// HasLead tells whether there is a message of a lead, whatever came of it.
func HasLead(ctx context.Context, q projection.Querier, leadID string) (has bool, err error) {
	if err := q.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM message WHERE lead_id = ?)`, leadID).Scan(&has); err != nil {
		return false, fmt.Errorf("look a lead up: %w", err)
	}
	return has, nil
}

// waiting returns the messages that wait to be sent by one of the channels, the
// oldest first.
func waiting(ctx context.Context, q projection.Querier, channels []journeyv1.Channel) ([]string, error) {
	args := []any{channelv1.MessageState_MESSAGE_STATE_ACCEPTED}
	for _, channel := range channels {
		args = append(args, channel)
	}
	rows, err := q.Query(ctx, `SELECT message_id FROM message WHERE state = ? AND channel IN (?`+strings.Repeat(", ?", len(channels)-1)+`)
		ORDER BY seq, message_id`, args...)
	if err != nil {
		return nil, fmt.Errorf("look for messages to send: %w", err)
	}
	ids, err := projection.Collect(rows, func(row projection.Scanner, id *string) error { return row.Scan(id) })
	if err != nil {
		return nil, fmt.Errorf("look for messages to send: %w", err)
	}
	return ids, nil
}

// AcceptMessage is the reaction to an order: the intent to send is on record
// before anything leaves. It runs however late the order comes, as lead
// management has spent its capacity on it.
func AcceptMessage(streams *decider.Streams) flow.Reaction {
	return flow.Reaction{
		Name: "accept-message",
		Takes: func(e codec.Event) bool {
			_, ok := e.Message.(*salesv1.DispatchOrdered)
			return ok
		},
		Late: flow.LatePolicy{Do: flow.RunLate},
		Answer: func(ctx context.Context, _ projection.Querier, cause flow.Cause) error {
			accept, err := accepting(cause.Message)
			if err != nil {
				return flow.Unprocessable(err)
			}
			_, err = decider.Handle(ctx, streams, cause.Origin, Stream(accept.Message.GetMessageId()), Decider, accept.Decide)
			return err
		},
	}
}

func accepting(order proto.Message) (Accept, error) {
	m, ok := order.(*salesv1.DispatchOrdered)
	if _, known := journeyv1.Channel_name[int32(m.GetChannel())]; !ok || m.GetMessageId() == "" || m.GetChannel() == 0 || !known {
		return Accept{}, errors.New("the order names no message, or no channel that there is")
	}
	return Accept{Message: &channelv1.MessageAccepted{
		MessageId: m.GetMessageId(), LeadId: m.GetLeadId(), CustomerId: m.GetCustomerId(), Channel: m.GetChannel(),
		PropositionId: m.GetPropositionId(), Content: m.GetContent(),
	}}, nil
}
