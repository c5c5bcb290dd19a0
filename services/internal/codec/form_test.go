package codec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
)

// The form that Encode writes is written and read without protojson: giving up on
// it would cost no test but the time of every event.
func TestTheFormOfEveryEventIsKnown(t *testing.T) {
	types, err := Types()
	if err != nil {
		t.Fatal(err)
	}
	luck := rand.New(rand.NewPCG(7, 7))
	for _, eventType := range types {
		for range 50 {
			want := eventType.New()
			somehow{luck, plainTexts}.fill(want.ProtoReflect())
			data, ok := eventType.form.write(nil, want.ProtoReflect())
			if loose := loosely(t, want); !ok || !bytes.Equal(data, loose) {
				t.Fatalf("%s: wrote %s (%t), want %s", eventType.Name, data, ok, loose)
			}
			if got := eventType.New(); !eventType.form.read(data, got.ProtoReflect()) || !proto.Equal(got, want) {
				t.Fatalf("%s: read %v of %s", eventType.Name, got, data)
			}
		}
	}
}

// What it does not know is written as protojson does, or refused as it is there.
func TestWhatIsWrittenIsWhatProtojsonWrites(t *testing.T) {
	types, err := Types()
	if err != nil {
		t.Fatal(err)
	}
	luck := rand.New(rand.NewPCG(8, 8))
	for _, eventType := range types {
		for range 50 {
			message := eventType.New()
			somehow{luck, anyTexts}.fill(message.ProtoReflect())
			data, err := Canonical(message)
			if _, wrong := protojson.Marshal(message); wrong != nil {
				if err == nil {
					t.Fatalf("%s: wrote %s, want the error %v", eventType.Name, data, wrong)
				}
				continue
			}
			if loose := loosely(t, message); err != nil || !bytes.Equal(data, loose) {
				t.Fatalf("%s: wrote %s (%v), want %s", eventType.Name, data, err, loose)
			}
		}
	}
}

var (
	plainTexts = []string{"a", "Grüße & <so weiter>", "\u2028", "\x7f", "{}", "日本"}
	anyTexts   = append([]string{"a \"quoted\" one", "back\\slash", "two\nlines", "\x01", "\xff"}, plainTexts...)
)

// somehow fills a message: each field or not, with what is to be expected or with
// what is at the edge of it.
type somehow struct {
	*rand.Rand

	texts []string
}

func (s somehow) fill(message protoreflect.Message) {
	switch known := message.Interface().(type) {
	case *timestamppb.Timestamp:
		known.Seconds, known.Nanos = s.Int64N(4_000_000_000), s.nanos()
		return
	case *durationpb.Duration:
		known.Seconds, known.Nanos = s.Int64N(1_000_000), s.nanos()
		if s.IntN(2) == 0 {
			known.Seconds, known.Nanos = -known.Seconds, -known.Nanos
		}
		return
	}
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		switch field := fields.Get(i); {
		case s.IntN(3) == 0:
		case field.IsList():
			list := message.Mutable(field).List()
			for range s.IntN(3) {
				list.Append(s.value(list.NewElement, field))
			}
		default:
			message.Set(field, s.value(func() protoreflect.Value { return message.NewField(field) }, field))
		}
	}
}

func (s somehow) nanos() int32 {
	return []int32{0, 120_000_000, 5_000_000, 999_999_000, 1_000, 1, 999_999_999}[s.IntN(7)]
}

func (s somehow) value(empty func() protoreflect.Value, field protoreflect.FieldDescriptor) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(s.texts[s.IntN(len(s.texts))])
	case protoreflect.MessageKind:
		value := empty()
		s.fill(value.Message())
		return value
	case protoreflect.EnumKind:
		known := field.Enum().Values()
		return protoreflect.ValueOfEnum(known.Get(s.IntN(known.Len())).Number())
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32([]uint32{0, 7, math.MaxUint32}[s.IntN(3)])
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64([]uint64{0, 7, math.MaxUint64}[s.IntN(3)])
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64([]int64{0, -7, math.MinInt64, math.MaxInt64}[s.IntN(4)])
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64([]float64{
			0, math.Copysign(0, -1), 0.1, 1e-6, 9.99e-7, -1e-10, 1e20, 1e21, -2.5e300, math.SmallestNonzeroFloat64, s.NormFloat64(),
		}[s.IntN(11)])
	default:
		panic(fmt.Sprintf("%s is of kind %s; teach this about it", field.FullName(), field.Kind()))
	}
}

// loosely is how protojson writes a message, without spaces.
func loosely(t *testing.T, message proto.Message) []byte {
	t.Helper()
	var compact bytes.Buffer
	loose, err := protojson.Marshal(message)
	if err == nil {
		err = json.Compact(&compact, loose)
	}
	if err != nil {
		t.Fatal(err)
	}
	return compact.Bytes()
}

func TestWhatIsNotInTheFormIsLeftToProtojson(t *testing.T) {
	for _, data := range []string{
		"", "{", `{"orderId"`, `{"orderId":`, `{"orderId":"a"`, `{"orderId":"a",}`, `{"orderId":"a"}}`, `{"orderId":"a"} `, `{ "orderId":"a"}`,
		`{"orderId": "a"}`, `{"order_id":"a"}`, `{"orderId":5}`, `{"orderId":null}`, `{"orderId":"\u0061"}`, "{\"orderId\":\"\xff\"}", `{"other":"a"}`,
		`{"orderId":"a","orderId":"b"}`, `{"quantity":"1"}`, `{"quantity":01}`, `{"quantity":-1}`, `{"quantity":4294967296}`, `{"quantity":1.0}`,
		`{"quantity":1e0}`, `{"quantity":}`, `{"amountCents":1}`, `{"amountCents":"01"}`, `{"amountCents":"+1"}`, `{"amountCents":"-"}`,
		`{"amountCents":"-01"}`, `{"amountCents":""}`, `{"amountCents":"9223372036854775808"}`, `["orderId"]`, `null`,
	} {
		m := (&salesv1.OrderPlaced{}).ProtoReflect()
		if formOf(m.Descriptor()).read([]byte(data), m) {
			t.Errorf("%s was scanned", data)
		}
	}
	unknown := (&salesv1.ConsentChanged{}).ProtoReflect()
	if formOf(unknown.Descriptor()).read([]byte(`{"consent":"CONSENT_OF_ANOTHER_BUILD"}`), unknown) {
		t.Error("a value was scanned that this build does not know")
	}
}

// What is scanned is what protojson would have read.
func FuzzForm(f *testing.F) {
	types, err := Types()
	if err != nil {
		f.Fatal(err)
	}
	paths, err := filepath.Glob("testdata/golden/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		var g struct{ Opened json.RawMessage }
		if err := json.Unmarshal(raw, &g); err != nil {
			f.Fatal(err)
		}
		message := map[string]any{}
		if err := json.Unmarshal(g.Opened, &message); err != nil {
			f.Fatal(err)
		}
		plain, err := json.Marshal(message)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, eventType := range types {
			got := eventType.New()
			if !eventType.form.read(data, got.ProtoReflect()) {
				continue
			}
			want := eventType.New()
			if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, want); err != nil {
				t.Fatalf("scanned what is no %s: %v", eventType.Name, err)
			}
			if !proto.Equal(got, want) {
				t.Fatalf("scanned %v of %s, want %v", got, data, want)
			}
		}
	})
}
