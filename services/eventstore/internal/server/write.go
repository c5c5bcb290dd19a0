package server

import (
	"context"
	"errors"
	"io"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// Append implements streams.StreamsServer.
func (s *streamsService) Append(call streams.Streams_AppendServer) error {
	ctx := call.Context()
	first, err := call.Recv()
	if err != nil && !errors.Is(err, io.EOF) {
		return fail(ctx, "", err)
	}
	options := first.GetOptions() // nil, too, of a call without any message
	if options == nil {
		return invalid("the first message of an append must name the stream: send its options before its events")
	}
	name := string(options.GetStreamIdentifier().GetStreamName())
	expected, err := appendExpectation(options)
	if err == nil {
		err = s.limits.checkName(name)
	}
	events, err := receive(call, s.limits, err)
	if err != nil {
		return fail(ctx, name, err)
	}
	written, err := s.store.Append(ctx, name, expected, events)
	var wrong *storage.WrongVersionError
	switch {
	case err == nil:
		return call.SendAndClose(appended(written))
	case errors.As(err, &wrong): // to the protocol an answer, not an error
		return call.SendAndClose(wrongVersion(wrong))
	default:
		return fail(ctx, name, err)
	}
}

func appendExpectation(options *streams.AppendReq_Options) (stream.Expected, error) {
	switch e := options.GetExpectedStreamRevision().(type) {
	case *streams.AppendReq_Options_Revision:
		return expectation(e.Revision)
	case *streams.AppendReq_Options_NoStream:
		return stream.NoStream, nil
	case *streams.AppendReq_Options_StreamExists:
		return stream.Exists, nil
	case *streams.AppendReq_Options_Any:
		return stream.Any, nil
	default:
		return 0, invalid("an append must say which revision it expects, or that it expects any")
	}
}

func appended(written storage.Written) *streams.AppendResp {
	success := &streams.AppendResp_Success{
		CurrentRevisionOption: &streams.AppendResp_Success_CurrentRevision{CurrentRevision: uint64(written.Last)},
		PositionOption: &streams.AppendResp_Success_Position{
			Position: &streams.AppendResp_Position{CommitPosition: written.Position, PreparePosition: written.Position},
		},
	}
	if written.Last == stream.None { // no event, to a stream without one
		success.CurrentRevisionOption = &streams.AppendResp_Success_NoStream{NoStream: &shared.Empty{}}
	}
	if written.Position == 0 {
		success.PositionOption = &streams.AppendResp_Success_NoPosition{NoPosition: &shared.Empty{}}
	}
	return &streams.AppendResp{Result: &streams.AppendResp_Success_{Success: success}}
}

// wrongVersion fills the fields of today's clients and those of clients of
// before version 20.6.
func wrongVersion(wrong *storage.WrongVersionError) *streams.AppendResp {
	answer := &streams.AppendResp_WrongExpectedVersion{
		CurrentRevisionOption:        &streams.AppendResp_WrongExpectedVersion_CurrentRevision{CurrentRevision: uint64(wrong.Current)},
		CurrentRevisionOption_20_6_0: &streams.AppendResp_WrongExpectedVersion_CurrentRevision_20_6_0{CurrentRevision_20_6_0: uint64(wrong.Current)},
	}
	if wrong.Current == stream.None {
		answer.CurrentRevisionOption = &streams.AppendResp_WrongExpectedVersion_CurrentNoStream{CurrentNoStream: &shared.Empty{}}
		answer.CurrentRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_NoStream_20_6_0{NoStream_20_6_0: &shared.Empty{}}
	}
	switch wrong.Expected {
	case stream.Any:
		answer.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedAny{ExpectedAny: &shared.Empty{}}
		answer.ExpectedRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_Any_20_6_0{Any_20_6_0: &shared.Empty{}}
	case stream.Exists:
		answer.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedStreamExists{ExpectedStreamExists: &shared.Empty{}}
		answer.ExpectedRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_StreamExists_20_6_0{StreamExists_20_6_0: &shared.Empty{}}
	case stream.NoStream: // had no field of its own then
		answer.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedNoStream{ExpectedNoStream: &shared.Empty{}}
	default:
		answer.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedRevision{ExpectedRevision: uint64(wrong.Expected)}
		answer.ExpectedRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_ExpectedRevision_20_6_0{ExpectedRevision_20_6_0: uint64(wrong.Expected)}
	}
	return &streams.AppendResp{Result: &streams.AppendResp_WrongExpectedVersion_{WrongExpectedVersion: answer}}
}

// Delete implements streams.StreamsServer.
func (s *streamsService) Delete(ctx context.Context, request *streams.DeleteReq) (*streams.DeleteResp, error) {
	options := request.GetOptions()
	name := string(options.GetStreamIdentifier().GetStreamName())
	expected, err := deleteExpectation(options)
	if err == nil {
		err = s.limits.checkName(name)
	}
	if err != nil {
		return nil, err
	}
	written, err := s.store.Delete(ctx, name, expected)
	if err != nil {
		return nil, fail(ctx, name, err)
	}
	return &streams.DeleteResp{PositionOption: &streams.DeleteResp_Position_{
		Position: &streams.DeleteResp_Position{CommitPosition: written.Position, PreparePosition: written.Position},
	}}, nil
}

func deleteExpectation(options *streams.DeleteReq_Options) (stream.Expected, error) {
	switch e := options.GetExpectedStreamRevision().(type) {
	case *streams.DeleteReq_Options_Revision:
		return expectation(e.Revision)
	case *streams.DeleteReq_Options_NoStream:
		return stream.NoStream, nil
	case *streams.DeleteReq_Options_StreamExists:
		return stream.Exists, nil
	case *streams.DeleteReq_Options_Any:
		return stream.Any, nil
	default:
		return 0, invalid("a deletion must say which revision it expects, or that it expects any")
	}
}

// Tombstone implements streams.StreamsServer.
func (s *streamsService) Tombstone(ctx context.Context, request *streams.TombstoneReq) (*streams.TombstoneResp, error) {
	options := request.GetOptions()
	name := string(options.GetStreamIdentifier().GetStreamName())
	expected, err := tombstoneExpectation(options)
	if err == nil {
		err = s.limits.checkName(name)
	}
	if err != nil {
		return nil, err
	}
	written, err := s.store.Tombstone(ctx, name, expected)
	if err != nil {
		return nil, fail(ctx, name, err)
	}
	return &streams.TombstoneResp{PositionOption: &streams.TombstoneResp_Position_{
		Position: &streams.TombstoneResp_Position{CommitPosition: written.Position, PreparePosition: written.Position},
	}}, nil
}

func tombstoneExpectation(options *streams.TombstoneReq_Options) (stream.Expected, error) {
	switch e := options.GetExpectedStreamRevision().(type) {
	case *streams.TombstoneReq_Options_Revision:
		return expectation(e.Revision)
	case *streams.TombstoneReq_Options_NoStream:
		return stream.NoStream, nil
	case *streams.TombstoneReq_Options_StreamExists:
		return stream.Exists, nil
	case *streams.TombstoneReq_Options_Any:
		return stream.Any, nil
	default:
		return 0, invalid("a deletion must say which revision it expects, or that it expects any")
	}
}
