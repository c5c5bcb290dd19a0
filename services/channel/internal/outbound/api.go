package outbound

import (
	"context"
	"fmt"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/customerview"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// API is the part of the channel's API that is about outbound messages.
type API struct {
	Streams *decider.Streams
	DB      *projection.DB
	Origins call.Origins
}

// ListMessages returns outbound messages, the call centre's work list among
// them, newest first.
func (a *API) ListMessages(ctx context.Context, request *channelv1.ListMessagesRequest) (*channelv1.ListMessagesResponse, error) {
	var checks call.Checks
	if request.GetChannel() != journeyv1.Channel_CHANNEL_UNSPECIFIED {
		call.Known(&checks, "channel", request.GetChannel(), journeyv1.Channel_name)
	}
	if request.GetCallState() != channelv1.CallState_CALL_STATE_UNSPECIFIED {
		call.Known(&checks, "call_state", request.GetCallState(), channelv1.CallState_name)
	}
	size := request.GetPageSize()
	if size > maxPage {
		checks.Fail("page_size", "must be at most %d", maxPage)
	}
	if err := checks.Err(); err != nil {
		return nil, err
	}
	if size == 0 {
		size = defaultPage
	}
	messages, err := list(ctx, a.DB, request, size)
	if err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	return &channelv1.ListMessagesResponse{Messages: messages}, nil
}

// list reads messages. Where one went, and why it came back, is shown of what was sent.
func list(ctx context.Context, q projection.Querier, request *channelv1.ListMessagesRequest, size uint32) ([]*channelv1.Message, error) {
	statement, args := `SELECT message_id, lead_id, customer_id, channel, content, state, detail, call_state, agent_id,
		CASE state WHEN ? THEN address ELSE '' END, CASE state WHEN ? THEN returned ELSE '' END
		FROM message WHERE 1 = 1`, []any{channelv1.MessageState_MESSAGE_STATE_SENT, channelv1.MessageState_MESSAGE_STATE_SENT}
	if channel := request.GetChannel(); channel != journeyv1.Channel_CHANNEL_UNSPECIFIED {
		statement, args = statement+` AND channel = ?`, append(args, channel)
	}
	order := ` ORDER BY seq DESC, message_id LIMIT ?`
	if call := request.GetCallState(); call != channelv1.CallState_CALL_STATE_UNSPECIFIED {
		statement, args = statement+` AND call_state = ?`, append(args, call)
		if call == channelv1.CallState_CALL_STATE_WAITING {
			order = ` ORDER BY seq, message_id LIMIT ?`
		}
	}
	rows, err := q.Query(ctx, statement+order, append(args, size)...)
	if err != nil {
		return nil, err
	}
	return projection.Collect(rows, func(row projection.Scanner, found **channelv1.Message) error {
		m := &channelv1.Message{}
		*found = m
		return row.Scan(&m.MessageId, &m.LeadId, &m.CustomerId, &m.Channel, &m.Content, &m.State, &m.Detail, &m.CallState, &m.AgentId,
			&m.Address, &m.ReturnedBecause)
	})
}

// TakeCall takes a call off the call centre's work list.
func (a *API) TakeCall(ctx context.Context, request *channelv1.TakeCallRequest) (*channelv1.TakeCallResponse, error) {
	var checks call.Checks
	id := checks.Required("message_id", request.GetMessageId())
	take := TakeCall{Agent: checks.Required("agent_id", request.GetAgentId())}
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, channelv1.ChannelService_TakeCall_FullMethodName, request)
	if err != nil {
		return nil, err
	}
	state, _, err := decider.Load(ctx, a.Streams, Stream(id), Decider)
	if err != nil {
		return nil, err
	}
	if take.Customer, err = customerview.Find(ctx, a.DB, state.Accepted.GetCustomerId()); err != nil {
		return nil, err
	}
	take.At = origin.Time
	unable := take
	unable.Unable = erased
	outcome, err := handle(ctx, a.Streams, origin, id, take, unable)
	if err != nil {
		return nil, err
	}
	return &channelv1.TakeCallResponse{Message: outcome.State.message()}, nil
}

// GiveBackCall puts a call that its agent has taken on the work list again.
func (a *API) GiveBackCall(ctx context.Context, request *channelv1.GiveBackCallRequest) (*channelv1.GiveBackCallResponse, error) {
	var checks call.Checks
	id := checks.Required("message_id", request.GetMessageId())
	give := GiveBackCall{Agent: checks.Required("agent_id", request.GetAgentId()), Reason: checks.Text("reason", request.GetReason())}
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, channelv1.ChannelService_GiveBackCall_FullMethodName, request)
	if err != nil {
		return nil, err
	}
	give.At = origin.Time
	wordless := give
	wordless.Reason = "" // of a customer who was erased no words are kept
	outcome, err := handle(ctx, a.Streams, origin, id, give, wordless)
	if err != nil {
		return nil, err
	}
	return &channelv1.GiveBackCallResponse{Message: outcome.State.message()}, nil
}

// EndCall tells what came of a call.
func (a *API) EndCall(ctx context.Context, request *channelv1.EndCallRequest) (*channelv1.EndCallResponse, error) {
	var checks call.Checks
	id := checks.Required("message_id", request.GetMessageId())
	end := EndCall{Agent: checks.Required("agent_id", request.GetAgentId()), Result: request.GetResult()}
	call.Known(&checks, "result", request.GetResult(), channelv1.CallResult_name)
	if err := checks.Err(); err != nil {
		return nil, err
	}
	origin, err := a.Origins(ctx, channelv1.ChannelService_EndCall_FullMethodName, request)
	if err != nil {
		return nil, err
	}
	end.At = origin.Time
	outcome, err := decider.Handle(ctx, a.Streams, origin, Stream(id), Decider, end.Decide)
	if err != nil {
		return nil, err
	}
	return &channelv1.EndCallResponse{Message: outcome.State.message()}, nil
}

// message is a message as the API shows it.
func (s State) message() *channelv1.Message {
	m := &channelv1.Message{
		MessageId: s.Accepted.GetMessageId(), LeadId: s.Accepted.GetLeadId(), CustomerId: s.Accepted.GetCustomerId(),
		Channel: s.Accepted.GetChannel(), Content: s.Accepted.GetContent(), State: s.State, Detail: s.Detail,
		CallState: s.callState(), AgentId: s.Agent,
	}
	if s.State == channelv1.MessageState_MESSAGE_STATE_SENT {
		m.Address, m.ReturnedBecause = s.Address, s.Returned
	}
	return m
}
