package codec

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// The form that Encode writes is scanned: giving up on it would cost no test
// but the time of every event.
func TestWhatIsWrittenIsScanned(t *testing.T) {
	full := Metadata{CausePosition: eventlog.Position{Commit: 1<<64 - 1}, Time: time.Date(2026, 11, 21, 14, 0, 0, 1, time.UTC)}
	fields := reflect.ValueOf(&full).Elem()
	for i := range fields.NumField() {
		if fields.Field(i).Kind() == reflect.String {
			fields.Field(i).SetString(strings.Repeat("x", i+1))
		}
	}
	for name, m := range map[string]Metadata{"full": full, "as good as empty": {Source: "/triangle/sales"}} {
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := scan(raw); !ok || got != m {
			t.Errorf("%s: scanned %+v (%v), want %+v", name, got, ok, m)
		}
	}
}

func TestTheScannerLeavesTheRestToEncodingJSON(t *testing.T) {
	for _, raw := range []string{
		"", "{", "{}", `{"id"`, `{"id":`, `{"id":"a"`, `{"id":"a",}`, `{"id":"a"}}`, `{"id":"a"} `, `{ "id":"a"}`, `{"id": "a"}`,
		`{"ID":"a"}`, `{"id":5}`, `{"id":"\u0061"}`, "{\"id\":\"\xff\"}", `{"time":"yesterday"}`, `{"other":"a"}`, `{"id":"a" "type":"b"}`,
		`{"causePosition":{}}`, `{"causePosition":{"commit":01,"prepare":1}}`, `{"causePosition":{"commit":,"prepare":1}}`,
		`{"causePosition":{"commit":18446744073709551616,"prepare":1}}`, `{"causePosition":{"prepare":1,"commit":1}}`, `["id"]`, `null`,
	} {
		if _, ok := scan([]byte(raw)); ok {
			t.Errorf("%s was scanned", raw)
		}
	}
}

// What is scanned is what encoding/json would have read.
func FuzzMetadata(f *testing.F) {
	paths, err := filepath.Glob("testdata/golden/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		var g struct{ Metadata Metadata }
		if err := json.Unmarshal(raw, &g); err != nil {
			f.Fatal(err)
		}
		g.Metadata.SealedFor = "customer:4711"
		if raw, err = json.Marshal(g.Metadata); err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, ok := scan(raw)
		if !ok {
			return
		}
		var want Metadata
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatalf("scanned what is no metadata: %v", err)
		}
		if got.Time.Equal(want.Time) {
			got.Time = want.Time // two time.Times of one moment may differ in their pointers
		}
		if got != want {
			t.Fatalf("scanned %+v, want %+v", got, want)
		}
	})
}
