package eventstore_test

import (
	"math"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc/codes"
)

const beyond = uint64(math.MaxInt64) + 1 // no revision is so large

func TestAppendsThatAreRefused(t *testing.T) {
	without := func(key string) *streams.AppendReq {
		return propose(func(m *streams.AppendReq_ProposedMessage) { delete(m.Metadata, key) })
	}
	withID := func(id *shared.UUID) *streams.AppendReq {
		return propose(func(m *streams.AppendReq_ProposedMessage) { m.Id = id })
	}
	incomplete := func(key string) refusal {
		return refusal{
			codes.InvalidArgument, `has no "` + key + `" in its metadata: every event must say its type and content type`,
			[]string{"exception", "missing-required-metadata-property", "required-metadata-properties", "type,content-type"},
		}
	}
	tooLarge := refusal{
		codes.InvalidArgument, "Maximum Append Size of 1048576 Exceeded. Append fewer or smaller events at a time, or raise the limit AppendBytes (--max-append)",
		[]string{"exception", "maximum-append-size-exceeded", "maximum-append-size", "1048576"},
	}
	cases := map[string]struct {
		messages []*streams.AppendReq
		want     refusal
	}{
		"no message":           {nil, refusedAs(codes.InvalidArgument, "the first message of an append must name the stream")},
		"an empty message":     {[]*streams.AppendReq{{}}, refusedAs(codes.InvalidArgument, "send its options before its events")},
		"events first":         {[]*streams.AppendReq{propose(nil), appendTo("s")}, refusedAs(codes.InvalidArgument, "send its options before its events")},
		"the stream twice":     {[]*streams.AppendReq{appendTo("s"), appendTo("s")}, refusedAs(codes.InvalidArgument, "an append names its stream once")},
		"an event of nothing":  {[]*streams.AppendReq{appendTo("s"), {}}, refusedAs(codes.InvalidArgument, "then only proposes events")},
		"no expectation":       {[]*streams.AppendReq{appendOptions(&streams.AppendReq_Options{StreamIdentifier: identified("s")})}, refusedAs(codes.InvalidArgument, "must say which revision it expects")},
		"a revision beyond":    {[]*streams.AppendReq{appendOptions(&streams.AppendReq_Options{StreamIdentifier: identified("s"), ExpectedStreamRevision: &streams.AppendReq_Options_Revision{Revision: beyond}}), propose(nil)}, refusedAs(codes.InvalidArgument, "revision 9223372036854775808 is too large: no stream has one above 9223372036854775807")},
		"no id":                {[]*streams.AppendReq{appendTo("s"), withID(nil)}, refusedAs(codes.InvalidArgument, "an event's id: invalid UUID")},
		"an id of nothing":     {[]*streams.AppendReq{appendTo("s"), withID(&shared.UUID{})}, refusedAs(codes.InvalidArgument, "an event's id: invalid UUID")},
		"an id that is none":   {[]*streams.AppendReq{appendTo("s"), withID(textual("nonsense"))}, refusedAs(codes.InvalidArgument, "an event's id: invalid UUID")},
		"no type":              {[]*streams.AppendReq{appendTo("s"), without("type")}, incomplete("type")},
		"no content type":      {[]*streams.AppendReq{appendTo("s"), without("content-type")}, incomplete("content-type")},
		"a bad second event":   {[]*streams.AppendReq{appendTo("s"), propose(nil), without("type"), propose(nil)}, incomplete("type")},
		"too large":            {[]*streams.AppendReq{appendTo("s"), sized(1 << 19), sized(1<<19 + 1)}, tooLarge},
		"too large to be read": {[]*streams.AppendReq{appendTo("s"), sized(18 << 20)}, refusedAs(codes.ResourceExhausted, "received message larger than max (18874462 vs. 17825792)")},
		"large, and too large": {append([]*streams.AppendReq{appendTo("s")}, repeated(20, func() *streams.AppendReq { return sized(1 << 20) })...), tooLarge},
		// The reason gets through even when much follows what is refused.
		"a bad event and 4 MiB after it": {append([]*streams.AppendReq{appendTo("s"), without("type")}, repeated(8, func() *streams.AppendReq { return sized(1 << 19) })...), incomplete("type")},
		"a bad name and 4 MiB after it":  {append([]*streams.AppendReq{appendTo("")}, repeated(8, func() *streams.AppendReq { return sized(1 << 19) })...), refusedAs(codes.InvalidArgument, "invalid stream name")},
	}
	r := newFixture(t).rawStreams()
	r.append(appendTo("s"), propose(nil)) //nolint:errcheck // what is there is compared below
	unchanged := r.unchanged()
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, trailer, err := r.append(tc.messages...)
			tc.want.check(t, trailer, err)
		})
	}
	unchanged(t)
}

func TestNamesThatNoStreamCanHave(t *testing.T) {
	const advice = "name another stream"
	cases := map[string]struct {
		name string
		says string
	}{
		"none":                    {"", "invalid stream name: it is empty: name a stream"},
		"$all":                    {"$all", advice},
		"metadata of nothing":     {"$$", advice},
		"metadata of metadata":    {"$$$$x", advice},
		"too long":                {strings.Repeat("x", 1025), "bytes of the stream's name: 1025, above the limit NameBytes of 1024: choose a shorter name"},
		"metadata of a long name": {"$$" + strings.Repeat("x", 1025), "choose a shorter name"},
		"no text":                 {"a\xffb", `invalid stream name: "a\xffb" is not UTF-8: encode it`},
	}
	r := newFixture(t).rawStreams()
	unchanged := r.unchanged()
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			want := refusedAs(codes.InvalidArgument, tc.says)
			_, trailer, err := r.append(appendTo(tc.name), propose(nil))
			want.check(t, trailer, err)
			trailer, err = r.delete(tc.name, empty)
			want.check(t, trailer, err)
			trailer, err = r.tombstone(tc.name, empty)
			want.check(t, trailer, err)
		})
	}
	t.Run("metadata has no end of its own", func(t *testing.T) {
		trailer, err := r.delete("$$x", empty)
		refusedAs(codes.InvalidArgument, "can't be deleted: "+advice).check(t, trailer, err)
		trailer, err = r.tombstone("$$x", empty)
		refusedAs(codes.InvalidArgument, "can't be deleted: "+advice).check(t, trailer, err)
	})
	unchanged(t)
}

func TestNamesThatAreUnusualAndAllowed(t *testing.T) {
	r := newFixture(t).rawStreams()
	for _, name := range []string{"$x", "$", "$$x", "$$$x", " ", "a\nb", "a@b", "ü", strings.Repeat("x", 1024), "$$" + strings.Repeat("x", 1024)} {
		if _, _, err := r.append(appendTo(name), propose(nil)); err != nil {
			t.Errorf("an append to %q: %v", name, err)
		}
		messages, _, err := r.read(readOf(func(o *streams.ReadReq_Options) { ofStream(o, name) }))
		if err != nil || len(messages) != 1 || string(messages[0].GetEvent().GetEvent().GetStreamIdentifier().GetStreamName()) != name {
			t.Errorf("a read of %q gave %v (%v)", name, messages, err)
		}
	}
}

func TestReadsThatAreRefused(t *testing.T) {
	cases := map[string]struct {
		request *streams.ReadReq
		says    string
	}{
		"no options":              {&streams.ReadReq{}, "a read must say how many events it wants"},
		"no count":                {readOf(func(o *streams.ReadReq_Options) { o.CountOption = nil }), "a read must say how many events it wants"},
		"nothing named":           {readOf(func(o *streams.ReadReq_Options) { o.StreamOption = nil }), "a read must name a stream or $all"},
		"a stream without a name": {readOf(func(o *streams.ReadReq_Options) { o.StreamOption = &streams.ReadReq_Options_Stream{} }), "it is empty: name a stream"},
		"no name, live":           {readOf(func(o *streams.ReadReq_Options) { live(o); ofStream(o, "") }), "it is empty: name a stream"},
		"a name that is too long": {readOf(func(o *streams.ReadReq_Options) { ofStream(o, strings.Repeat("x", 1025)) }), "above the limit NameBytes of 1024"},
		"a name that is no text":  {readOf(func(o *streams.ReadReq_Options) { ofStream(o, "\xff") }), "is not UTF-8"},
		"a revision beyond": {readOf(func(o *streams.ReadReq_Options) {
			ofStream(o, "s")
			o.GetStream().RevisionOption = &streams.ReadReq_Options_StreamOptions_Revision{Revision: beyond}
		}), "revision 9223372036854775808 is too large"},
		"a subscription backwards": {readOf(func(o *streams.ReadReq_Options) { live(o); o.ReadDirection = streams.ReadReq_Options_Backwards }), "a subscription can't go backwards"},
		"a filter of a stream":     {readOf(func(o *streams.ReadReq_Options) { ofStream(o, "s"); filtered(o, "", "a") }), "only reads of $all can be filtered"},
		"a filter of nothing":      {readOf(func(o *streams.ReadReq_Options) { filtered(o, "") }), "neither a prefix nor a regular expression"},
		"a filter that is empty":   {readOf(func(o *streams.ReadReq_Options) { filtered(o, "").Filter = nil }), "neither a prefix nor a regular expression"},
		"a filter of both":         {readOf(func(o *streams.ReadReq_Options) { filtered(o, "b", "a") }), "both prefixes and a regular expression"},
		"a malformed pattern":      {readOf(func(o *streams.ReadReq_Options) { filtered(o, "(") }), "missing closing ): `(`: send one in RE2's syntax"},
		"the same, live":           {readOf(func(o *streams.ReadReq_Options) { live(o); filtered(o, "(") }), "missing closing )"},
		"a pattern that is huge":   {readOf(func(o *streams.ReadReq_Options) { filtered(o, "((a{100}){10}){1000}") }), "invalid repeat count"},
		"a pattern that repeats":   {readOf(func(o *streams.ReadReq_Options) { filtered(o, strings.Repeat("(abc){1000}", 10)) }), "repeat less"},
		"a multiplier of 0":        {readOf(func(o *streams.ReadReq_Options) { live(o); filtered(o, "", "a").CheckpointIntervalMultiplier = 0 }), "the checkpoint interval multiplier must be above 0"},
	}
	r := newFixture(t).rawStreams()
	unchanged := r.unchanged()
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			messages, trailer, err := r.read(tc.request)
			refusedAs(codes.InvalidArgument, tc.says).check(t, trailer, err)
			if len(messages) > 0 {
				t.Errorf("%v came before it was refused", messages)
			}
		})
	}
	unchanged(t)
}

func TestDeletionsThatAreRefused(t *testing.T) {
	r := newFixture(t).rawStreams()
	_, _, err := r.append(appendTo("s"), propose(nil), propose(nil))
	r.must(err)
	_, _, err = r.append(appendTo("gone\nü"), propose(nil))
	r.must(err)
	_, err = r.tombstone("gone\nü", empty)
	r.must(err)
	wrong := func(expected string) refusal {
		return refusal{codes.FailedPrecondition, "expected revision " + expected + ", the last one is 1", []string{
			"exception", "wrong-expected-version", "stream-name", "s", "expected-version", expected, "actual-version", "1",
		}}
	}
	cases := map[string]struct {
		name     string
		expected any
		want     refusal
	}{
		"no expectation":      {"s", nil, refusedAs(codes.InvalidArgument, "a deletion must say which revision it expects")},
		"a revision beyond":   {"s", beyond, refusedAs(codes.InvalidArgument, "is too large")},
		"a revision above":    {"s", 5, wrong("5")},
		"a revision below":    {"s", 0, wrong("0")},
		"a stream that ended": {"gone\nü", empty, refusal{codes.FailedPrecondition, "is deleted", []string{"exception", "stream-deleted", "stream-name", "gone%0A%C3%BC"}}},
	}
	unchanged := r.unchanged()
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			trailer, err := r.delete(tc.name, tc.expected)
			tc.want.check(t, trailer, err)
			trailer, err = r.tombstone(tc.name, tc.expected)
			tc.want.check(t, trailer, err)
		})
	}
	t.Run("no options", func(t *testing.T) {
		_, err := r.client.Delete(r.ctx, &streams.DeleteReq{})
		refusedAs(codes.InvalidArgument, "a deletion must say").check(t, nil, err)
		_, err = r.client.Tombstone(r.ctx, &streams.TombstoneReq{})
		refusedAs(codes.InvalidArgument, "a deletion must say").check(t, nil, err)
	})
	unchanged(t)
}

// A wrong version is an answer, with the fields of today's clients and of those
// before them.
func TestAWrongVersionIsAnAnswer(t *testing.T) {
	r := newFixture(t).rawStreams()
	_, _, err := r.append(appendTo("s"), propose(nil), propose(nil))
	r.must(err)
	unchanged := r.unchanged()
	answer, _, err := r.append(appendOptions(&streams.AppendReq_Options{
		StreamIdentifier: identified("s"), ExpectedStreamRevision: &streams.AppendReq_Options_Revision{Revision: 7},
	}), propose(nil))
	r.must(err)
	wrong := answer.GetWrongExpectedVersion()
	if wrong.GetCurrentRevision() != 1 || wrong.GetCurrentRevision_20_6_0() != 1 || wrong.GetExpectedRevision() != 7 || wrong.GetExpectedRevision_20_6_0() != 7 {
		t.Errorf("answered %v", answer)
	}
	answer, _, err = r.append(appendOptions(&streams.AppendReq_Options{
		StreamIdentifier: identified("none"), ExpectedStreamRevision: &streams.AppendReq_Options_StreamExists{StreamExists: empty},
	}), propose(nil))
	r.must(err)
	wrong = answer.GetWrongExpectedVersion()
	if wrong.GetCurrentNoStream() == nil || wrong.GetNoStream_20_6_0() == nil || wrong.GetExpectedStreamExists() == nil || wrong.GetStreamExists_20_6_0() == nil {
		t.Errorf("answered %v", answer)
	}
	unchanged(t)
}
