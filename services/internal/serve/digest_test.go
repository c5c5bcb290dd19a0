package serve_test

import (
	"encoding/hex"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/serve"
)

func digestInput(m proto.Message) string { return string(serve.RequestDigestInput(m)) }

func TestRequestsThatSayTheSameHaveTheSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawRequest(t), drawRequest(t)
		if got, want := digestInput(a) == digestInput(b), proto.Equal(a, b); got != want {
			t.Errorf("same bytes %t, equal %t: %v, %v", got, want, a, b)
		}
		wire, err := proto.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var again channelv1.StartContactRequest
		if err := proto.Unmarshal(wire, &again); err != nil {
			t.Fatal(err)
		}
		if digestInput(a) != digestInput(&again) {
			t.Errorf("other bytes after the wire: %v", a)
		}
	})
}

// drawRequest draws from few values, so that two draws are equal now and then.
func drawRequest(t *rapid.T) *channelv1.StartContactRequest {
	word := rapid.SampledFrom([]string{"", "a", "b", "ab"})
	req := &channelv1.StartContactRequest{
		Channel:    journeyv1.Channel(rapid.IntRange(0, 2).Draw(t, "channel")),
		VisitorId:  word.Draw(t, "visitor"),
		CustomerId: word.Draw(t, "customer"),
	}
	if rapid.Bool().Draw(t, "claims?") {
		req.Claims = &channelv1.Claims{Email: word.Draw(t, "email"), Phone: word.Draw(t, "phone")}
	}
	if rapid.Bool().Draw(t, "wait?") {
		req.Wait = durationpb.New(0)
	}
	return req
}

func TestWhatTellsRequestsApart(t *testing.T) {
	object := func(m map[string]any) *structpb.Struct {
		s, err := structpb.NewStruct(m)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	newer := &channelv1.GetContactRequest{ContactId: "c1"}
	newer.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 99, protowire.BytesType), "new"))
	for name, pair := range map[string][2]proto.Message{
		"the message":               {&channelv1.GetContactRequest{ContactId: "c"}, &channelv1.EndContactRequest{ContactId: "c"}},
		"a field of a newer caller": {&channelv1.GetContactRequest{ContactId: "c1"}, newer},
		"a message that is empty":   {&channelv1.StartContactRequest{}, &channelv1.StartContactRequest{Claims: &channelv1.Claims{}}},
		"a map's value":             {object(map[string]any{"a": 1, "b": 2}), object(map[string]any{"a": 1, "b": 3})},
		"where a list is":           {object(map[string]any{"a": []any{"x"}, "b": []any{}}), object(map[string]any{"a": []any{}, "b": []any{"x"}})},
	} {
		if digestInput(pair[0]) == digestInput(pair[1]) {
			t.Errorf("%s makes no difference", name)
		}
	}
	// Maps have no order.
	big := map[string]any{"a": true, "b": nil, "c": "x", "d": 1.5, "e": []any{1, "y"}, "f": map[string]any{"g": -1}}
	for range 20 {
		if digestInput(object(big)) != digestInput(object(big)) {
			t.Fatal("a map's order makes a difference")
		}
	}
}

// TestTheFormIsForEver: digests of it stand beside keys in streams, so that a
// build which writes other bytes would take a repeated call for another one.
func TestTheFormIsForEver(t *testing.T) {
	got := hex.EncodeToString(serve.RequestDigestInput(&channelv1.StartContactRequest{
		Channel: journeyv1.Channel(2), VisitorId: "v1", Claims: &channelv1.Claims{Email: "e"}, Wait: durationpb.New(1500000000),
	}))
	const want = "1e6368616e6e656c2e76312e5374617274436f6e74616374526571756573740401040202763104010201650005020102028094ebdc030000"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
