package server

import (
	"math"
	"time"

	persistentpb "github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"

	"github.com/triangle-suite/triangle/services/eventstore/internal/persistent"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// createdDefinition reads what a group is to be created with.
func createdDefinition(options *persistentpb.CreateReq_Options) (d persistent.Definition, err error) {
	d.Group = options.GetGroupName()
	settings := options.GetSettings()
	switch of := options.GetStreamOption().(type) {
	case *persistentpb.CreateReq_Options_Stream:
		d.Stream = string(of.Stream.GetStreamIdentifier().GetStreamName())
		d.Start = createdStreamStart(of.Stream)
	case *persistentpb.CreateReq_Options_All:
		d.Stream = stream.All
		d.Start = createdAllStart(of.All)
		d.Filter = groupFilter(of.All.GetFilter())
	}
	d.Settings, err = createdSettings(settings)
	return d, err
}

func createdStreamStart(options *persistentpb.CreateReq_StreamOptions) persistent.Start {
	switch from := options.GetRevisionOption().(type) {
	case *persistentpb.CreateReq_StreamOptions_Revision:
		return persistent.Start{Kind: persistent.StartAtPlace, At: from.Revision}
	case *persistentpb.CreateReq_StreamOptions_Start:
		return persistent.Start{Kind: persistent.StartAtBeginning}
	default:
		return persistent.Start{Kind: persistent.StartAtEnd}
	}
}

func createdAllStart(options *persistentpb.CreateReq_AllOptions) persistent.Start {
	switch from := options.GetAllOption().(type) {
	case *persistentpb.CreateReq_AllOptions_Position:
		return persistent.Start{Kind: persistent.StartAtPlace, At: from.Position.GetCommitPosition()}
	case *persistentpb.CreateReq_AllOptions_Start:
		return persistent.Start{Kind: persistent.StartAtBeginning}
	default:
		return persistent.Start{Kind: persistent.StartAtEnd}
	}
}

// groupFilter leaves out the window and its multiplier: how far a group has
// come is written down by its settings.
func groupFilter(options *persistentpb.CreateReq_AllOptions_FilterOptions) *persistent.Filter {
	if options == nil {
		return nil
	}
	by, expression := false, options.GetEventType()
	if of, ok := options.GetFilter().(*persistentpb.CreateReq_AllOptions_FilterOptions_StreamIdentifier); ok {
		by, expression = true, of.StreamIdentifier
	}
	return &persistent.Filter{ByStream: by, Prefixes: expression.GetPrefix(), Pattern: expression.GetRegex()}
}

// wireSettings are the settings of a Create or of an Update.
type wireSettings interface {
	GetResolveLinks() bool
	GetExtraStatistics() bool
	GetMaxRetryCount() int32
	GetMinCheckpointCount() int32
	GetMaxCheckpointCount() int32
	GetMaxSubscriberCount() int32
	GetLiveBufferSize() int32
	GetReadBatchSize() int32
	GetHistoryBufferSize() int32
	GetMessageTimeoutTicks() int64
	GetMessageTimeoutMs() int32
	GetCheckpointAfterTicks() int64
	GetCheckpointAfterMs() int32
}

// groupSettings reads all settings but the strategy. Of a time in ticks and
// one in milliseconds only one is there.
func groupSettings(s wireSettings, strategy persistent.Strategy) persistent.Settings {
	return persistent.Settings{
		ResolveLinks:    s.GetResolveLinks(),
		ExtraStatistics: s.GetExtraStatistics(),
		Strategy:        strategy,
		MessageTimeout:  duration(s.GetMessageTimeoutTicks(), s.GetMessageTimeoutMs()),
		MaxRetries:      int(s.GetMaxRetryCount()),
		MaxConsumers:    int(s.GetMaxSubscriberCount()),
		ReadBatch:       int(s.GetReadBatchSize()),
		HistoryBuffer:   int(s.GetHistoryBufferSize()),
		LiveBuffer:      int(s.GetLiveBufferSize()),
		CheckpointAfter: duration(s.GetCheckpointAfterTicks(), s.GetCheckpointAfterMs()),
		MinCheckpoint:   int(s.GetMinCheckpointCount()),
		MaxCheckpoint:   int(s.GetMaxCheckpointCount()),
	}
}

// tick is the unit of the protocol's ticks.
const tick = 100 * time.Nanosecond

// duration takes what is longer than a duration can be, which clients send for
// "never", for the longest.
func duration(ticks int64, milliseconds int32) time.Duration {
	if ticks > math.MaxInt64/int64(tick) {
		return math.MaxInt64
	}
	return time.Duration(max(ticks, -1))*tick + time.Duration(milliseconds)*time.Millisecond
}

// wireMilliseconds is the other way round.
func wireMilliseconds(d time.Duration) int32 { return int32(min(d.Milliseconds(), math.MaxInt32)) }

func createdSettings(settings *persistentpb.CreateReq_Settings) (persistent.Settings, error) {
	if settings == nil {
		return persistent.Settings{}, invalid("a persistent subscription must have settings")
	}
	strategy := persistent.Strategy(settings.GetConsumerStrategy())
	if strategy == "" { // of older clients
		//nolint:staticcheck // the deprecated field is all that they send
		strategy = persistent.Strategy(settings.GetNamedConsumerStrategy().String())
	}
	return groupSettings(settings, strategy), nil
}

// requestedChange reads an update. It can't change the filter.
func requestedChange(options *persistentpb.UpdateReq_Options) (key persistent.Key, change persistent.Change, err error) {
	key.Group = options.GetGroupName()
	settings := options.GetSettings()
	switch of := options.GetStreamOption().(type) {
	case *persistentpb.UpdateReq_Options_Stream:
		key.Stream = string(of.Stream.GetStreamIdentifier().GetStreamName())
		change.Start = changedStreamStart(of.Stream)
	case *persistentpb.UpdateReq_Options_All:
		key.Stream = stream.All
		change.Start = changedAllStart(of.All)
	}
	if settings == nil {
		return key, change, invalid("an update of a persistent subscription must have settings")
	}
	change.Settings = groupSettings(settings, persistent.Strategy(settings.GetNamedConsumerStrategy().String()))
	return key, change, nil
}

func changedStreamStart(options *persistentpb.UpdateReq_StreamOptions) *persistent.Start {
	switch from := options.GetRevisionOption().(type) {
	case *persistentpb.UpdateReq_StreamOptions_Revision:
		return &persistent.Start{Kind: persistent.StartAtPlace, At: from.Revision}
	case *persistentpb.UpdateReq_StreamOptions_Start:
		return &persistent.Start{Kind: persistent.StartAtBeginning}
	case *persistentpb.UpdateReq_StreamOptions_End:
		return &persistent.Start{Kind: persistent.StartAtEnd}
	default:
		return nil
	}
}

func changedAllStart(options *persistentpb.UpdateReq_AllOptions) *persistent.Start {
	switch from := options.GetAllOption().(type) {
	case *persistentpb.UpdateReq_AllOptions_Position:
		return &persistent.Start{Kind: persistent.StartAtPlace, At: from.Position.GetCommitPosition()}
	case *persistentpb.UpdateReq_AllOptions_Start:
		return &persistent.Start{Kind: persistent.StartAtBeginning}
	case *persistentpb.UpdateReq_AllOptions_End:
		return &persistent.Start{Kind: persistent.StartAtEnd}
	default:
		return nil
	}
}

func wireInfo(info *persistent.Info) *persistentpb.SubscriptionInfo {
	wire := &persistentpb.SubscriptionInfo{
		EventSource:                   info.Stream,
		GroupName:                     info.Group,
		Status:                        info.Status,
		AveragePerSecond:              int32(info.PerSecond),
		TotalItems:                    info.Processed,
		CountSinceLastMeasurement:     info.Lately,
		LastCheckpointedEventPosition: info.Checkpointed,
		LastKnownEventPosition:        info.Last,
		ResolveLinkTos:                info.ResolveLinks,
		StartFrom:                     info.StartFrom(),
		MessageTimeoutMilliseconds:    wireMilliseconds(info.MessageTimeout),
		ExtraStatistics:               info.ExtraStatistics,
		MaxRetryCount:                 int32(info.MaxRetries),
		LiveBufferSize:                int32(info.LiveBuffer),
		BufferSize:                    int32(info.HistoryBuffer),
		ReadBatchSize:                 int32(info.ReadBatch),
		CheckPointAfterMilliseconds:   wireMilliseconds(info.CheckpointAfter),
		MinCheckPointCount:            int32(info.MinCheckpoint),
		MaxCheckPointCount:            int32(info.MaxCheckpoint),
		ReadBufferCount:               int32(info.Behind),
		LiveBufferCount:               int64(info.Live),
		RetryBufferCount:              int32(info.Retrying),
		TotalInFlightMessages:         int32(info.InFlight),
		OutstandingMessagesCount:      int32(info.InFlight),
		NamedConsumerStrategy:         string(info.Strategy),
		MaxSubscriberCount:            int32(info.MaxConsumers),
		ParkedMessageCount:            info.Parked,
	}
	for i := range info.Connections {
		wire.Connections = append(wire.Connections, wireConnection(&info.Connections[i]))
	}
	return wire
}

func wireConnection(c *persistent.ConnectionInfo) *persistentpb.SubscriptionInfo_ConnectionInfo {
	wire := &persistentpb.SubscriptionInfo_ConnectionInfo{
		From:                      c.Addr,
		AverageItemsPerSecond:     int32(c.PerSecond),
		TotalItems:                c.Processed,
		CountSinceLastMeasurement: c.Lately,
		AvailableSlots:            int32(c.Room),
		InFlightMessages:          int32(c.InFlight),
		ConnectionName:            c.Name,
	}
	for _, m := range c.Latencies {
		wire.ObservedMeasurements = append(wire.ObservedMeasurements, &persistentpb.SubscriptionInfo_Measurement{
			Key: m.Key, Value: m.Value.Milliseconds(),
		})
	}
	return wire
}
