package outbound

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// API is the part of the channel's API that is about outbound messages.
type API struct{ DB *projection.DB }

// ListMessages returns outbound messages, the call centre's work list among
// them, newest first.
func (a *API) ListMessages(ctx context.Context, request *channelv1.ListMessagesRequest) (*channelv1.ListMessagesResponse, error) {
	var checks call.Checks
	if request.GetChannel() != journeyv1.Channel_CHANNEL_UNSPECIFIED {
		call.Known(&checks, "channel", request.GetChannel(), journeyv1.Channel_name)
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
	messages, err := list(ctx, a.DB, request.GetChannel(), size)
	if err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	return &channelv1.ListMessagesResponse{Messages: messages}, nil
}

// list reads messages. The address stands in the customer view, and nowhere else.
func list(ctx context.Context, q projection.Querier, channel journeyv1.Channel, size uint32) ([]*channelv1.Message, error) {
	statement, args := `SELECT m.message_id, m.lead_id, m.customer_id, m.channel, m.content, m.state, m.detail, coalesce(v.body, '')
		FROM message AS m LEFT JOIN customer_view AS v ON v.customer_id = m.customer_id`, []any{}
	if channel != journeyv1.Channel_CHANNEL_UNSPECIFIED {
		statement, args = statement+` WHERE m.channel = ?`, append(args, channel)
	}
	rows, err := q.Query(ctx, statement+` ORDER BY m.seq DESC, m.message_id LIMIT ?`, append(args, size)...)
	if err != nil {
		return nil, err
	}
	return projection.Collect(rows, func(row projection.Scanner, m **channelv1.Message) error {
		*m = &channelv1.Message{}
		return scan(row, *m)
	})
}

func scan(row projection.Scanner, m *channelv1.Message) error {
	var view string
	if err := row.Scan(&m.MessageId, &m.LeadId, &m.CustomerId, &m.Channel, &m.Content, &m.State, &m.Detail, &view); err != nil {
		return err
	}
	if m.GetState() != channelv1.MessageState_MESSAGE_STATE_SENT || view == "" {
		return nil
	}
	customer := &channelv1.CustomerView{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal([]byte(view), customer); err != nil {
		return fmt.Errorf("read a customer view: %w", err)
	}
	m.Address = address(m.GetChannel(), customer)
	return nil
}
