package server

import (
	"cmp"
	"fmt"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/triangle-suite/triangle/services/eventstore/internal/filter"
	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// Limits bound what a request, a connection, and all of them together may
// take of the store. A field that is 0 has its default. A call that exceeds
// one is refused with an error that names the field (or, for MessageBytes, with
// gRPC's own); nothing is written then, and the connection goes on.
//
// How many events a read asks for has no limit: whatever their number, a read
// holds one page of them, and clients ask for all by the largest number.
type Limits struct {
	AppendBytes  int // of one append: the types, data and metadata of its events; 1 MiB, and 16 MiB at most
	AppendEvents int // in one append; 16384
	EventBytes   int // of one event, counted likewise; as many as AppendBytes
	TypeBytes    int // of an event's type; 1024
	NameBytes    int // of a stream's name, without the $$ of its metadata; 1024
	MessageBytes int // of one message of the protocol; 17 MiB, which is what clients take too

	Subscriptions           int // catch-up subscriptions, at a time; 1024
	ConnectionSubscriptions int // of them, those of one connection; 256
	ConnectionCalls         int // calls of one connection at a time, subscriptions and all; further ones wait; 1024

	FilterPrefixes     int // of one filter; 1024
	FilterPrefixBytes  int // of each; 1024
	FilterPatternBytes int // of a filter's regular expression; 4096
}

const (
	// maxAppendBytes is what fits into the messages that clients take.
	maxAppendBytes = 16 << 20
	// envelope is room for what surrounds an event in its message.
	envelope = 64 << 10
)

func (l Limits) withDefaults() Limits {
	l.AppendBytes = cmp.Or(l.AppendBytes, 1<<20)
	l.AppendEvents = cmp.Or(l.AppendEvents, 1<<14)
	l.EventBytes = cmp.Or(l.EventBytes, l.AppendBytes)
	l.TypeBytes = cmp.Or(l.TypeBytes, min(1<<10, l.EventBytes))
	l.NameBytes = cmp.Or(l.NameBytes, 1<<10)
	l.MessageBytes = cmp.Or(l.MessageBytes, 17<<20)
	l.Subscriptions = cmp.Or(l.Subscriptions, 1<<10)
	l.ConnectionSubscriptions = cmp.Or(l.ConnectionSubscriptions, min(1<<8, l.Subscriptions))
	l.ConnectionCalls = cmp.Or(l.ConnectionCalls, max(1<<10, 2*l.ConnectionSubscriptions))
	l.FilterPrefixes = cmp.Or(l.FilterPrefixes, filter.DefaultPrefixes)
	l.FilterPrefixBytes = cmp.Or(l.FilterPrefixBytes, filter.DefaultPrefixBytes)
	l.FilterPatternBytes = cmp.Or(l.FilterPatternBytes, filter.DefaultPatternBytes)
	return l
}

// Check tells whether the limits make sense, each and together.
func (l Limits) Check() error {
	l = l.withDefaults()
	for _, limit := range []struct {
		name        string
		value, most int
		why         string
	}{
		{"AppendBytes", l.AppendBytes, maxAppendBytes, "clients take no larger message"},
		{"AppendEvents", l.AppendEvents, 1 << 20, "an append is held in memory as a whole"},
		{"EventBytes", l.EventBytes, l.AppendBytes, "an event can't be larger than its append: raise AppendBytes too"},
		{"TypeBytes", l.TypeBytes, l.EventBytes, "a type is a part of its event"},
		{"NameBytes", l.NameBytes, envelope, "names are held in memory"},
		{"MessageBytes", l.MessageBytes, 1 << 30, "a message is held in memory as a whole"},
		{"Subscriptions", l.Subscriptions, 1 << 20, "each one may hold a page of events"},
		{"ConnectionSubscriptions", l.ConnectionSubscriptions, l.Subscriptions, "that is how many the store takes at all"},
		{"ConnectionCalls", l.ConnectionCalls, 1 << 20, "each one takes memory"},
		{"FilterPrefixes", l.FilterPrefixes, 1 << 20, "each event is compared with each prefix"},
		{"FilterPrefixBytes", l.FilterPrefixBytes, envelope, "prefixes are held in memory"},
		{"FilterPatternBytes", l.FilterPatternBytes, envelope, "each event is matched against it"},
	} {
		switch {
		case limit.value < 1:
			return fmt.Errorf("limit %s is %d: it must be above 0", limit.name, limit.value)
		case limit.value > limit.most:
			return fmt.Errorf("limit %s is %d: it must be %d at most, for %s", limit.name, limit.value, limit.most, limit.why)
		}
	}
	if least := l.EventBytes + envelope; l.MessageBytes < least {
		return fmt.Errorf("limit MessageBytes is %d: it must be %d at least, so that an event of EventBytes fits", l.MessageBytes, least)
	}
	return nil
}

func (l Limits) filter() filter.Limits {
	return filter.Limits{Prefixes: l.FilterPrefixes, PrefixBytes: l.FilterPrefixBytes, PatternBytes: l.FilterPatternBytes}
}

// checkName refuses names that no stream of this store can have. The rules
// about system names are the storage's.
func (l Limits) checkName(name string) error {
	original, _ := stream.OriginalOf(name)
	switch {
	case name == "":
		return invalid("invalid stream name: it is empty: name a stream")
	case len(original) > l.NameBytes:
		return exceeds(codes.InvalidArgument, "bytes of the stream's name", len(original), "NameBytes", l.NameBytes, "choose a shorter name")
	case !utf8.ValidString(name):
		return invalid("invalid stream name: %q is not UTF-8: encode it", name)
	default:
		return nil
	}
}

// exceeds is the error of what is above a limit. It names the limit and what
// to do.
func exceeds(code codes.Code, what string, got int, name string, limit int, advice string) error {
	return status.Errorf(code, "%s: %d, above the limit %s of %d: %s", what, got, name, limit, advice)
}
