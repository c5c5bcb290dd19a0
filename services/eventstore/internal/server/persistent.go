package server

import (
	"context"
	"errors"
	"io"

	persistentpb "github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/triangle-suite/triangle/services/eventstore/internal/persistent"
	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// persistentService is the protocol's service of persistent subscriptions.
type persistentService struct {
	persistentpb.UnimplementedPersistentSubscriptionsServer
	subscriptions *persistent.Subscriptions
	limits        Limits
}

// Create implements persistentpb.PersistentSubscriptionsServer.
func (s *persistentService) Create(ctx context.Context, request *persistentpb.CreateReq) (*persistentpb.CreateResp, error) {
	definition, err := createdDefinition(request.GetOptions())
	if err == nil {
		err = s.checkGroup(definition.Key)
	}
	if err == nil {
		err = s.subscriptions.Create(definition)
	}
	if err != nil {
		return nil, failGroup(ctx, definition.Key, err)
	}
	return &persistentpb.CreateResp{}, nil
}

// checkGroup refuses a group whose events could not be parked.
func (s *persistentService) checkGroup(key persistent.Key) error {
	if key.Stream == "" || key.Group == "" {
		return nil // told better by those who look for more
	}
	if err := s.limits.checkName(key.Stream); err != nil {
		return err
	}
	if name := key.Parked(); len(name) > s.limits.NameBytes {
		return exceeds(codes.InvalidArgument, "bytes of the name of the stream of parked events", len(name), "NameBytes", s.limits.NameBytes, "choose a shorter name for the group or for the stream")
	}
	return s.limits.checkName(key.Group)
}

// Update implements persistentpb.PersistentSubscriptionsServer.
func (s *persistentService) Update(ctx context.Context, request *persistentpb.UpdateReq) (*persistentpb.UpdateResp, error) {
	key, change, err := requestedChange(request.GetOptions())
	if err == nil {
		err = s.subscriptions.Update(key, change)
	}
	if err != nil {
		return nil, failGroup(ctx, key, err)
	}
	return &persistentpb.UpdateResp{}, nil
}

// Delete implements persistentpb.PersistentSubscriptionsServer.
func (s *persistentService) Delete(ctx context.Context, request *persistentpb.DeleteReq) (*persistentpb.DeleteResp, error) {
	options := request.GetOptions()
	key := keyOf(options.GetStreamIdentifier(), options.GetAll(), options.GetGroupName())
	if err := s.subscriptions.Delete(key); err != nil {
		return nil, failGroup(ctx, key, err)
	}
	return &persistentpb.DeleteResp{}, nil
}

// keyOf names the group that a request names.
func keyOf(name *shared.StreamIdentifier, all *shared.Empty, group string) persistent.Key {
	if all != nil {
		return persistent.Key{Stream: stream.All, Group: group}
	}
	return persistent.Key{Stream: string(name.GetStreamName()), Group: group}
}

// GetInfo implements persistentpb.PersistentSubscriptionsServer.
func (s *persistentService) GetInfo(ctx context.Context, request *persistentpb.GetInfoReq) (*persistentpb.GetInfoResp, error) {
	options := request.GetOptions()
	key := keyOf(options.GetStreamIdentifier(), options.GetAll(), options.GetGroupName())
	info, err := s.subscriptions.Info(key)
	if err != nil {
		return nil, failGroup(ctx, key, err)
	}
	return &persistentpb.GetInfoResp{SubscriptionInfo: wireInfo(&info)}, nil
}

// List implements persistentpb.PersistentSubscriptionsServer.
func (s *persistentService) List(ctx context.Context, request *persistentpb.ListReq) (*persistentpb.ListResp, error) {
	var key persistent.Key // of no stream stands for all groups
	if of := request.GetOptions().GetListForStream(); of != nil {
		if key = keyOf(of.GetStream(), of.GetAll(), ""); key.Stream == "" {
			return nil, invalid("a list of the groups on one stream must name it")
		}
	}
	infos, err := s.subscriptions.List(key.Stream)
	if err != nil {
		return nil, failGroup(ctx, key, err)
	}
	answer := &persistentpb.ListResp{}
	for i := range infos {
		answer.Subscriptions = append(answer.Subscriptions, wireInfo(&infos[i]))
	}
	return answer, nil
}

// ReplayParked implements persistentpb.PersistentSubscriptionsServer.
func (s *persistentService) ReplayParked(ctx context.Context, request *persistentpb.ReplayParkedReq) (*persistentpb.ReplayParkedResp, error) {
	options := request.GetOptions()
	key := keyOf(options.GetStreamIdentifier(), options.GetAll(), options.GetGroupName())
	var until *persistent.Place
	if at, ok := options.GetStopAtOption().(*persistentpb.ReplayParkedReq_Options_StopAt); ok {
		place := persistent.Place(at.StopAt)
		until = &place
	}
	if err := s.subscriptions.Replay(key, until); err != nil {
		return nil, failGroup(ctx, key, err)
	}
	return &persistentpb.ReplayParkedResp{}, nil
}

// RestartSubsystem implements persistentpb.PersistentSubscriptionsServer.
func (s *persistentService) RestartSubsystem(ctx context.Context, _ *shared.Empty) (*shared.Empty, error) {
	if err := s.subscriptions.Restart(); err != nil {
		return nil, failGroup(ctx, persistent.Key{}, err)
	}
	return &shared.Empty{}, nil
}

// Read implements persistentpb.PersistentSubscriptionsServer: events go out
// while answers come in.
func (s *persistentService) Read(call persistentpb.PersistentSubscriptions_ReadServer) error {
	ctx := call.Context()
	first, err := call.Recv()
	if err != nil && !errors.Is(err, io.EOF) {
		return fail(ctx, "", err)
	}
	options := first.GetOptions() // nil, too, of a call without any message
	if options == nil {
		return invalid("the first message of a subscriber must name the stream and the group")
	}
	key := keyOf(options.GetStreamIdentifier(), options.GetAll(), options.GetGroupName())
	connection, err := s.subscriptions.Connect(key, int(options.GetBufferSize()), peerOf(ctx))
	if err != nil {
		return failGroup(ctx, key, err)
	}
	defer connection.Close()
	_, text := options.GetUuidOption().GetContent().(*persistentpb.ReadReq_Options_UUIDOption_String_)
	if err := deliver(call, connection, key, idForm(text)); err != nil {
		return failGroup(ctx, key, err)
	}
	return nil
}

func peerOf(ctx context.Context) (p persistent.Peer) {
	if from, ok := peer.FromContext(ctx); ok {
		p.Addr = from.Addr.String()
	}
	if names := metadata.ValueFromIncomingContext(ctx, "connection-name"); len(names) > 0 {
		p.Name = names[0]
	}
	return p
}

// deliver sends events until the subscriber goes away or is dropped.
func deliver(call persistentpb.PersistentSubscriptions_ReadServer, connection *persistent.Connection, key persistent.Key, ids idForm) error {
	confirmed := &persistentpb.ReadResp_SubscriptionConfirmation{SubscriptionId: key.String()}
	err := call.Send(&persistentpb.ReadResp{
		Content: &persistentpb.ReadResp_SubscriptionConfirmation_{SubscriptionConfirmation: confirmed},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(call.Context())
	defer cancel(nil)
	go func() { cancel(takeAnswers(call, connection)) }() // ends with the call at the latest
	for {
		deliveries, err := connection.Next(ctx)
		if cause := context.Cause(ctx); errors.Is(cause, io.EOF) {
			return nil // the subscriber has said that it has had enough
		} else if cause != nil {
			return cause
		}
		if err != nil {
			return err
		}
		for i := range deliveries {
			if err := call.Send(delivered(&deliveries[i], ids)); err != nil {
				return err
			}
		}
	}
}

// takeAnswers receives acks and nacks until there are none any more, and tells
// why.
func takeAnswers(call persistentpb.PersistentSubscriptions_ReadServer, connection *persistent.Connection) error {
	for {
		message, err := call.Recv()
		if err != nil {
			return err
		}
		switch answer := message.GetContent().(type) {
		case *persistentpb.ReadReq_Ack_:
			var acked []uuid.UUID
			if acked, err = idsFromWire(answer.Ack.GetIds()); err == nil {
				connection.Ack(acked)
			}
		case *persistentpb.ReadReq_Nack_:
			err = nack(connection, answer.Nack)
		default:
			err = invalid("a subscriber names its group once, and then only answers")
		}
		if err != nil {
			return err
		}
	}
}

func nack(connection *persistent.Connection, answer *persistentpb.ReadReq_Nack) error {
	ids, err := idsFromWire(answer.GetIds())
	if err != nil {
		return err
	}
	switch answer.GetAction() {
	case persistentpb.ReadReq_Nack_Park:
		connection.Nack(ids, persistent.Park, answer.GetReason())
	case persistentpb.ReadReq_Nack_Skip:
		connection.Nack(ids, persistent.Skip, answer.GetReason())
	case persistentpb.ReadReq_Nack_Stop: // all that is in flight to it is retried
		connection.Stop()
	default: // who does not know what to do tries again
		connection.Nack(ids, persistent.Retry, answer.GetReason())
	}
	return nil
}

func idsFromWire(wire []*shared.UUID) ([]uuid.UUID, error) {
	ids := make([]uuid.UUID, len(wire))
	for i, id := range wire {
		var err error
		if ids[i], err = idFromWire(id); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

func delivered(d *persistent.Delivery, ids idForm) *persistentpb.ReadResp {
	event := &persistentpb.ReadResp_ReadEvent{
		Position: &persistentpb.ReadResp_ReadEvent_CommitPosition{CommitPosition: d.Original.Position},
		Count:    &persistentpb.ReadResp_ReadEvent_RetryCount{RetryCount: int32(d.Retries)},
	}
	if d.Link {
		event.Link = ids.delivered(d.Original)
		if d.Resolved != nil {
			event.Event = ids.delivered(d.Resolved)
		}
	} else {
		event.Event = ids.delivered(d.Original)
	}
	return &persistentpb.ReadResp{Content: &persistentpb.ReadResp_Event{Event: event}}
}

// delivered is recorded in the form of persistent subscriptions, which has the
// same fields.
func (f idForm) delivered(e *storage.Event) *persistentpb.ReadResp_ReadEvent_RecordedEvent {
	r := f.recorded(e)
	return &persistentpb.ReadResp_ReadEvent_RecordedEvent{
		Id:               r.Id,
		StreamIdentifier: r.StreamIdentifier,
		StreamRevision:   r.StreamRevision,
		PreparePosition:  r.PreparePosition,
		CommitPosition:   r.CommitPosition,
		Metadata:         r.Metadata,
		CustomMetadata:   r.CustomMetadata,
		Data:             r.Data,
	}
}
