package eventstore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/triangle-suite/triangle/services/eventstore"
	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
)

var smallLimits = eventstore.Limits{
	AppendBytes: 1000, AppendEvents: 5, EventBytes: 600, TypeBytes: 20, NameBytes: 30, MessageBytes: 70_000,
	FilterPrefixes: 2, FilterPrefixBytes: 10, FilterPatternBytes: 50,
}

func TestAppendsUpToTheirLimits(t *testing.T) {
	const id = "38fffbc2-339e-11ea-8c7b-784f43837872"
	name := func(n int) string { return strings.Repeat("n", n) }
	one := func() *streams.AppendReq { return propose(nil) }
	typed := func(n int) *streams.AppendReq {
		return propose(func(m *streams.AppendReq_ProposedMessage) { m.Metadata["type"] = name(n) })
	}
	accepted := refusedAs(codes.OK, "")
	tooLarge := refusal{codes.InvalidArgument, "Maximum Append Size of 1000 Exceeded.", []string{"exception", "maximum-append-size-exceeded", "maximum-append-size", "1000"}}
	cases := map[string]struct {
		messages []*streams.AppendReq
		want     refusal
	}{
		"bytes, at the limit":               {[]*streams.AppendReq{appendTo("s"), sized(500), sized(500)}, accepted},
		"bytes, above":                      {[]*streams.AppendReq{appendTo("s"), sized(500), sized(501)}, tooLarge},
		"events, at the limit":              {append([]*streams.AppendReq{appendTo("s")}, repeated(5, one)...), accepted},
		"events, above":                     {append([]*streams.AppendReq{appendTo("s")}, repeated(6, one)...), refusedAs(codes.InvalidArgument, "events of one append: 6, above the limit AppendEvents of 5: append fewer at a time")},
		"events, far above":                 {append([]*streams.AppendReq{appendTo("s")}, repeated(900, one)...), refusedAs(codes.InvalidArgument, "above the limit AppendEvents of 5")},
		"bytes of an event, at the limit":   {[]*streams.AppendReq{appendTo("s"), sized(600)}, accepted},
		"bytes of a type, at the limit":     {[]*streams.AppendReq{appendTo("s"), typed(20)}, accepted},
		"bytes of a type, above":            {[]*streams.AppendReq{appendTo("s"), typed(21)}, refusedAs(codes.InvalidArgument, "bytes of an event's type: 21, above the limit TypeBytes of 20: choose a shorter type")},
		"bytes of a name, at the limit":     {[]*streams.AppendReq{appendTo(name(30)), one()}, accepted},
		"bytes of a name, above":            {[]*streams.AppendReq{appendTo(name(31)), one()}, refusedAs(codes.InvalidArgument, "bytes of the stream's name: 31, above the limit NameBytes of 30: choose a shorter name")},
		"metadata of a name at the limit":   {[]*streams.AppendReq{appendTo("$$" + name(30)), one()}, accepted},
		"metadata of a name above":          {[]*streams.AppendReq{appendTo("$$" + name(31)), one()}, refusedAs(codes.InvalidArgument, "above the limit NameBytes of 30")},
		"bytes of a message, at the limit":  {[]*streams.AppendReq{appendTo("s"), sized(69_900)}, tooLarge},
		"bytes of a message, above":         {[]*streams.AppendReq{appendTo("s"), sized(70_000)}, refusedAs(codes.ResourceExhausted, "received message larger than max")},
		"much more than is read to its end": {append([]*streams.AppendReq{appendTo("s")}, repeated(200, func() *streams.AppendReq { return sized(600) })...), tooLarge},
		"bytes of an event, above": {
			[]*streams.AppendReq{appendTo("s"), propose(func(m *streams.AppendReq_ProposedMessage) {
				m.Id, m.Data = textual(id), make([]byte, 600)
			})},
			refusal{codes.InvalidArgument, "Event with Id: " + id + ", Size: 601, exceeds Maximum Append Event Size of 600. Make it smaller, or raise the limit EventBytes.", []string{
				"exception", "maximum-append-event-size-exceeded", "maximum-append-event-size", "600", "event-id", id, "proposed-append-event-size", "601",
			}},
		},
	}
	r := newFixture(t, eventstoretest.WithLimits(smallLimits)).rawStreams()
	follower := r.followAll(esdb.SubscribeToAllOptions{From: esdb.Start{}})
	written := 0
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := len(r.readAll(esdb.ReadAllOptions{}))
			_, trailer, err := r.append(tc.messages...)
			tc.want.check(t, trailer, err)
			wrote := len(r.readAll(esdb.ReadAllOptions{})) - before
			want := 0
			if tc.want.code == codes.OK {
				want = len(tc.messages) - 1
			}
			if wrote != want {
				t.Errorf("%d events were written, want %d", wrote, want)
			}
			written += wrote
		})
	}
	follower.events(written) // other calls went on
}

func TestFiltersUpToTheirLimits(t *testing.T) {
	cases := map[string]struct {
		pattern  string
		prefixes []string
		want     refusal
	}{
		"prefixes, at the limit":            {"", []string{"a", "b"}, refusedAs(codes.OK, "")},
		"prefixes, above":                   {"", []string{"a", "b", "c"}, refusedAs(codes.InvalidArgument, "prefixes: 3, above the limit FilterPrefixes of 2: send fewer or shorter ones, they match more")},
		"bytes of a prefix, at the limit":   {"", []string{"a", strings.Repeat("b", 10)}, refusedAs(codes.OK, "")},
		"bytes of a prefix, above":          {"", []string{"a", strings.Repeat("b", 11)}, refusedAs(codes.InvalidArgument, "bytes of a prefix: 11, above the limit FilterPrefixBytes of 10: send a shorter one, it matches more")},
		"bytes of a pattern, at the limit":  {strings.Repeat("b", 50), nil, refusedAs(codes.OK, "")},
		"bytes of a pattern, above":         {strings.Repeat("b", 51), nil, refusedAs(codes.InvalidArgument, "bytes of the regular expression: 51, above the limit FilterPatternBytes of 50: send a shorter one, or prefixes")},
		"repetitions of a pattern, allowed": {"a{40}", nil, refusedAs(codes.OK, "")},
		"repetitions of a pattern, above":   {"a{41}", nil, refusedAs(codes.InvalidArgument, "above 4 times the limit FilterPatternBytes of 50: repeat less and name fewer classes")},
		"bytes of a message, above":         {"", repeatedPrefix(10_000), refusedAs(codes.ResourceExhausted, "received message larger than max")},
	}
	r := newFixture(t, eventstoretest.WithLimits(smallLimits)).rawStreams()
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, trailer, err := r.read(readOf(func(o *streams.ReadReq_Options) { filtered(o, tc.pattern, tc.prefixes...) }))
			tc.want.check(t, trailer, err)
		})
	}
}

func repeatedPrefix(n int) (prefixes []string) {
	for i := range n {
		prefixes = append(prefixes, fmt.Sprintf("prefix-%d", i))
	}
	return prefixes
}

// trySubscribe opens a subscription to $all on the connection of r, and waits
// for its confirmation.
func (r *rawStreams) trySubscribe() (streams.Streams_ReadClient, error) {
	r.Helper()
	call, err := r.client.Read(r.ctx, readOf(live))
	r.must(err)
	first, err := call.Recv()
	if err == nil && first.GetConfirmation() == nil {
		r.Errorf("the first message is %v", first)
	}
	return call, err
}

func TestSubscriptionsUpToTheirLimits(t *testing.T) {
	f := newFixture(t, eventstoretest.WithLimits(eventstore.Limits{Subscriptions: 5, ConnectionSubscriptions: 2}))
	one, two, three := f.rawStreams(), f.rawStreams(), f.rawStreams()
	var open []streams.Streams_ReadClient
	for _, r := range []*rawStreams{one, one, two, two} {
		call, err := r.trySubscribe()
		f.must(err)
		open = append(open, call)
	}
	_, err := one.trySubscribe()
	refusedAs(codes.ResourceExhausted, "subscriptions of this connection: 3, above the limit ConnectionSubscriptions of 2: end one first").check(t, nil, err)
	last, err := f.client.SubscribeToAll(f.ctx, esdb.SubscribeToAllOptions{})
	f.must(err)
	_, err = three.trySubscribe()
	refusedAs(codes.ResourceExhausted, "subscriptions of this event store: 6, above the limit Subscriptions of 5: end one first").check(t, nil, err)

	f.append("s", events(1)...) // the others go on, and so do other calls
	for _, call := range open {
		for message := must(call.Recv()); message.GetEvent() == nil; {
			message = must(call.Recv())
		}
	}
	f.must(last.Close())
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for { // the seat is free when the store has learnt of the end
		_, err := three.trySubscribe()
		if err == nil {
			break
		}
		if status.Code(err) != codes.ResourceExhausted {
			t.Fatal(err)
		}
		select {
		case <-again.C:
		case <-f.ctx.Done():
			t.Fatal("an ended subscription keeps its place")
		}
	}
}

func TestLimitsThatMakeNoSense(t *testing.T) {
	cases := map[string]struct {
		limits eventstore.Limits
		says   string
	}{
		"below 1":                              {eventstore.Limits{AppendEvents: -1}, "limit AppendEvents is -1: it must be above 0"},
		"an append that clients can't receive": {eventstore.Limits{AppendBytes: 17 << 20}, "limit AppendBytes is 17825792: it must be 16777216 at most, for clients take no larger message"},
		"an event larger than its append":      {eventstore.Limits{EventBytes: 2 << 20}, "limit EventBytes is 2097152: it must be 1048576 at most, for an event can't be larger than its append"},
		"a message smaller than its event":     {eventstore.Limits{MessageBytes: 1 << 20}, "limit MessageBytes is 1048576: it must be 1114112 at least, so that an event of EventBytes fits"},
		"one connection's above all":           {eventstore.Limits{Subscriptions: 10, ConnectionSubscriptions: 11}, "limit ConnectionSubscriptions is 11: it must be 10 at most"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := eventstore.Start(eventstore.Config{Addr: "127.0.0.1:0", Limits: tc.limits}); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("started with %v, want %q", err, tc.says)
			}
		})
	}
}

// The largest event that can be allowed gets through, both ways.
func TestTheLargestLimits(t *testing.T) {
	f := newFixture(t, eventstoretest.WithLimits(eventstore.Limits{AppendBytes: 16 << 20}))
	large := events(1)[0]
	large.Data, large.Metadata = make([]byte, 16<<20-len(large.EventType)), nil
	f.append("s", large)
	if got := f.read("s", esdb.ReadStreamOptions{}); len(got) != 1 || len(got[0].Event.Data) != len(large.Data) {
		t.Errorf("read %d events", len(got))
	}
}
