package server

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// codec is grpc's own codec of protobuf, apart from the messages that there
// are many of: encoded ones pass through it, and proposals are decoded without
// the generated structs.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// encoded is a message in its wire form. It is an array, so that grpc can have
// a slice of it without an allocation.
type encoded [1]mem.Buffer

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(message any) (mem.BufferSlice, error) {
	if m, ok := message.(*encoded); ok {
		return m[:], nil
	}
	return c.CodecV2.Marshal(message)
}

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, message any) error {
	if m, ok := message.(*proposal); ok {
		b := data.MaterializeToBuffer(mem.DefaultBufferPool())
		defer b.Free()
		return m.unmarshal(b.ReadOnlyData())
	}
	return c.CodecV2.Unmarshal(data, message)
}
