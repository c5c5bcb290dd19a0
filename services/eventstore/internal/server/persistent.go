package server

import (
	"context"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// persistentService answers for persistent subscriptions, which this store
// does not have yet: GetSupportedMethods does not name them, and a client that
// tries all the same is told why.
type persistentService struct {
	persistent.UnimplementedPersistentSubscriptionsServer
}

var errNoPersistentSubscriptions = status.Error(codes.Unimplemented,
	"this event store has no persistent subscriptions: use a catch-up subscription with a checkpoint of your own")

// Create implements persistent.PersistentSubscriptionsServer.
func (persistentService) Create(context.Context, *persistent.CreateReq) (*persistent.CreateResp, error) {
	return nil, errNoPersistentSubscriptions
}

// Update implements persistent.PersistentSubscriptionsServer.
func (persistentService) Update(context.Context, *persistent.UpdateReq) (*persistent.UpdateResp, error) {
	return nil, errNoPersistentSubscriptions
}

// Delete implements persistent.PersistentSubscriptionsServer.
func (persistentService) Delete(context.Context, *persistent.DeleteReq) (*persistent.DeleteResp, error) {
	return nil, errNoPersistentSubscriptions
}

// Read implements persistent.PersistentSubscriptionsServer.
func (persistentService) Read(persistent.PersistentSubscriptions_ReadServer) error {
	return errNoPersistentSubscriptions
}

// GetInfo implements persistent.PersistentSubscriptionsServer.
func (persistentService) GetInfo(context.Context, *persistent.GetInfoReq) (*persistent.GetInfoResp, error) {
	return nil, errNoPersistentSubscriptions
}

// ReplayParked implements persistent.PersistentSubscriptionsServer.
func (persistentService) ReplayParked(context.Context, *persistent.ReplayParkedReq) (*persistent.ReplayParkedResp, error) {
	return nil, errNoPersistentSubscriptions
}

// List implements persistent.PersistentSubscriptionsServer.
func (persistentService) List(context.Context, *persistent.ListReq) (*persistent.ListResp, error) {
	return nil, errNoPersistentSubscriptions
}

// RestartSubsystem implements persistent.PersistentSubscriptionsServer.
func (persistentService) RestartSubsystem(context.Context, *shared.Empty) (*shared.Empty, error) {
	return nil, errNoPersistentSubscriptions
}
