package codec

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
)

// The form that Encode writes is scanned: giving up on it would cost no test but
// the time of every event.
func TestAFlatMessageIsScanned(t *testing.T) {
	for name, want := range map[string]proto.Message{
		"full": &salesv1.OrderPlaced{
			CustomerId: "c", OrderId: "o", OrderedOn: "2026-03-14", Quantity: 1<<32 - 1, AmountCents: -1 << 63, LeadId: "l", Source: "import",
		},
		"with an enum": &salesv1.ConsentChanged{CustomerId: "c", Consent: 1},
		"empty":        &salesv1.OrderPlaced{},
	} {
		data, err := Canonical(want)
		if err != nil {
			t.Fatal(err)
		}
		got := want.ProtoReflect().New()
		if !flatOf(got.Descriptor()).scan(data, got) || !proto.Equal(got.Interface(), want) {
			t.Errorf("%s: scanned %v of %s", name, got.Interface(), data)
		}
	}
}

func TestWhatIsNotFlatIsLeftToProtojson(t *testing.T) {
	for _, data := range []string{
		"", "{", `{"orderId"`, `{"orderId":`, `{"orderId":"a"`, `{"orderId":"a",}`, `{"orderId":"a"}}`, `{"orderId":"a"} `, `{ "orderId":"a"}`,
		`{"orderId": "a"}`, `{"order_id":"a"}`, `{"orderId":5}`, `{"orderId":null}`, `{"orderId":"\u0061"}`, `{"orderId":"ü"}`, `{"other":"a"}`,
		`{"orderId":"a","orderId":"b"}`, `{"quantity":"1"}`, `{"quantity":01}`, `{"quantity":-1}`, `{"quantity":4294967296}`, `{"quantity":1.0}`,
		`{"quantity":1e0}`, `{"quantity":}`, `{"amountCents":1}`, `{"amountCents":"01"}`, `{"amountCents":"+1"}`, `{"amountCents":"-"}`,
		`{"amountCents":"-01"}`, `{"amountCents":""}`, `{"amountCents":"9223372036854775808"}`, `["orderId"]`, `null`,
	} {
		m := (&salesv1.OrderPlaced{}).ProtoReflect()
		if flatOf(m.Descriptor()).scan([]byte(data), m) {
			t.Errorf("%s was scanned", data)
		}
	}
	unknown := (&salesv1.ConsentChanged{}).ProtoReflect()
	if flatOf(unknown.Descriptor()).scan([]byte(`{"consent":"CONSENT_OF_ANOTHER_BUILD"}`), unknown) {
		t.Error("a value was scanned that this build does not know")
	}
}

// What is scanned is what protojson would have read.
func FuzzFlat(f *testing.F) {
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
			if !eventType.flat.scan(data, got.ProtoReflect()) {
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
