package server

import (
	"math"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
)

// Persistent subscriptions write at times of their own, so what $all holds
// after a call says nothing about it: wrote is always.

func FuzzPersistentCreate(f *testing.F) {
	all := &persistent.CreateReq_AllOptions{
		AllOption: &persistent.CreateReq_AllOptions_Start{Start: nothing},
		FilterOption: &persistent.CreateReq_AllOptions_Filter{Filter: &persistent.CreateReq_AllOptions_FilterOptions{
			Filter:                       &persistent.CreateReq_AllOptions_FilterOptions_EventType{EventType: &persistent.CreateReq_AllOptions_FilterOptions_Expression{Regex: "^t+$"}},
			CheckpointIntervalMultiplier: 1,
		}},
	}
	settings := &persistent.CreateReq_Settings{MaxRetryCount: 10, MaxSubscriberCount: -1, ReadBatchSize: 20, HistoryBufferSize: math.MaxInt32, LiveBufferSize: 5, ConsumerStrategy: "Pinned"}
	for _, options := range []*persistent.CreateReq_Options{
		{GroupName: "h", Settings: settings, StreamOption: &persistent.CreateReq_Options_All{All: all}},
		{GroupName: "g", Settings: settings, StreamOption: &persistent.CreateReq_Options_Stream{Stream: &persistent.CreateReq_StreamOptions{StreamIdentifier: identifier("s")}}},
		{GroupName: "", StreamIdentifier: identifier("s")},
	} {
		f.Add(seed(&persistent.CreateReq{Options: options}), []byte{}, []byte{})
	}
	fuzzCalls(f, persistent.PersistentSubscriptions_Create_FullMethodName, &persistent.CreateResp{}, always, one)
}

func FuzzPersistentUpdate(f *testing.F) {
	f.Add(seed(&persistent.UpdateReq{Options: &persistent.UpdateReq_Options{
		GroupName: "g", Settings: &persistent.UpdateReq_Settings{ReadBatchSize: -1, HistoryBufferSize: 1},
		StreamOption: &persistent.UpdateReq_Options_Stream{Stream: &persistent.UpdateReq_StreamOptions{StreamIdentifier: identifier("s")}},
	}}), []byte{}, []byte{})
	fuzzCalls(f, persistent.PersistentSubscriptions_Update_FullMethodName, &persistent.UpdateResp{}, always, one)
}

func FuzzPersistentDelete(f *testing.F) {
	f.Add(seed(&persistent.DeleteReq{Options: &persistent.DeleteReq_Options{
		GroupName: "g", StreamOption: &persistent.DeleteReq_Options_StreamIdentifier{StreamIdentifier: identifier("s")},
	}}), []byte{}, []byte{})
	f.Add(seed(&persistent.DeleteReq{Options: &persistent.DeleteReq_Options{
		GroupName: "g", StreamOption: &persistent.DeleteReq_Options_All{All: nothing},
	}}), []byte{}, []byte{})
	fuzzCalls(f, persistent.PersistentSubscriptions_Delete_FullMethodName, &persistent.DeleteResp{}, always, one)
}

func FuzzPersistentRead(f *testing.F) {
	options := seed(&persistent.ReadReq{Content: &persistent.ReadReq_Options_{Options: &persistent.ReadReq_Options{
		GroupName: "g", BufferSize: 3, StreamOption: &persistent.ReadReq_Options_StreamIdentifier{StreamIdentifier: identifier("s")},
	}}})
	ack := seed(&persistent.ReadReq{Content: &persistent.ReadReq_Ack_{Ack: &persistent.ReadReq_Ack{Ids: idsOf(3)}}})
	park := seed(&persistent.ReadReq{Content: &persistent.ReadReq_Nack_{Nack: &persistent.ReadReq_Nack{Ids: idsOf(1), Action: persistent.ReadReq_Nack_Park, Reason: "r"}}})
	f.Add(options, ack, park)
	f.Add(ack, options, options)
	fuzzCalls(f, persistent.PersistentSubscriptions_Read_FullMethodName, &persistent.ReadResp{}, always, three)
}

func FuzzPersistentGetInfo(f *testing.F) {
	f.Add(seed(&persistent.GetInfoReq{Options: &persistent.GetInfoReq_Options{
		GroupName: "g", StreamOption: &persistent.GetInfoReq_Options_StreamIdentifier{StreamIdentifier: identifier("s")},
	}}), []byte{}, []byte{})
	fuzzCalls(f, persistent.PersistentSubscriptions_GetInfo_FullMethodName, &persistent.GetInfoResp{}, always, one)
}

func FuzzPersistentList(f *testing.F) {
	f.Add(seed(&persistent.ListReq{Options: &persistent.ListReq_Options{
		ListOption: &persistent.ListReq_Options_ListAllSubscriptions{ListAllSubscriptions: nothing},
	}}), []byte{}, []byte{})
	fuzzCalls(f, persistent.PersistentSubscriptions_List_FullMethodName, &persistent.ListResp{}, always, one)
}

func FuzzPersistentReplayParked(f *testing.F) {
	f.Add(seed(&persistent.ReplayParkedReq{Options: &persistent.ReplayParkedReq_Options{
		GroupName: "g", StreamOption: &persistent.ReplayParkedReq_Options_StreamIdentifier{StreamIdentifier: identifier("s")},
		StopAtOption: &persistent.ReplayParkedReq_Options_StopAt{StopAt: -1},
	}}), []byte{}, []byte{})
	fuzzCalls(f, persistent.PersistentSubscriptions_ReplayParked_FullMethodName, &persistent.ReplayParkedResp{}, always, one)
}
