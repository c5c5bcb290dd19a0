package codec_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// Events are read for ever. Each file in testdata/golden is an event as it was
// written once, sealed with the key ring for tests, and what it says. A file is
// never changed: a field that is added to an event gets a further file.
var update = flag.Bool("update", false, "write the golden files that are missing; files that are there are never changed")

const goldenDir = "testdata/golden"

// golden is one file.
type golden struct {
	ID       uuid.UUID       `json:"id"`
	Type     string          `json:"type"`
	Metadata json.RawMessage `json:"metadata"`
	Data     json.RawMessage `json:"data"`   // as stored
	Opened   json.RawMessage `json:"opened"` // the data, opened
}

// event is the event as the store gives it: without a golden file's indents.
func (g golden) event(t *testing.T) eventlog.Event {
	t.Helper()
	return eventlog.Event{NewEvent: eventlog.NewEvent{
		ID: g.ID, Type: g.Type, Data: compact(t, g.Data), Metadata: compact(t, g.Metadata),
	}}
}

func compact(t *testing.T, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGoldenEventsDecodeForEver(t *testing.T) {
	if *update {
		writeMissing(t)
	}
	covered := map[string]bool{}
	for name, g := range goldenFiles(t) {
		t.Run(name, func(t *testing.T) {
			decoded := checkGolden(t, g)
			if want := goldenName(decoded.Metadata.DataSchema); !strings.HasPrefix(name, want) {
				t.Errorf("the file should be called %s.json, or %s.<n>.json", want, want)
			}
			cover(decoded.Message.ProtoReflect(), string(decoded.Message.ProtoReflect().Descriptor().FullName()), covered)
		})
	}
	for _, missing := range uncovered(t, covered) {
		t.Errorf("no golden file has %s: run go test ./services/internal/codec -update, and commit the new file", missing)
	}
}

// checkGolden holds a file against what the codec reads and writes today.
func checkGolden(t *testing.T, g golden) codec.Event {
	t.Helper()
	c, event := newCodec(t, ringFor(t, g)), g.event(t)
	decoded, err := c.Decode(context.Background(), event)
	if err != nil {
		t.Fatal(err)
	}
	want := decoded.Message.ProtoReflect().New().Interface()
	if err := protojson.Unmarshal(g.Opened, want); err != nil { // strictly: no field may have gone
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, decoded.Message, protocmp.Transform()); diff != "" {
		t.Errorf("the event says something else than when it was written (-then +now):\n%s", diff)
	}
	again, err := c.Encode(context.Background(), decoded.Message, g.ID, decoded.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(event.Data), string(again.Data)); diff != "" {
		t.Errorf("data would be written otherwise (-then +now):\n%s", diff)
	}
	if diff := cmp.Diff(string(event.Metadata), string(again.Metadata)); diff != "" {
		t.Errorf("metadata would be written otherwise (-then +now):\n%s", diff)
	}
	return decoded
}

// ringFor is a key ring that knows the event's key.
func ringFor(t *testing.T, g golden) keyring.Ring {
	t.Helper()
	ring := keyring.Memory()
	md, err := codec.DecodeMetadata(g.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	if md.SealedFor != "" {
		if _, err := ring.Key(context.Background(), md.SealedFor); err != nil {
			t.Fatal(err)
		}
	}
	return ring
}

func goldenFiles(t testing.TB) map[string]golden {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(goldenDir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]golden{}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var g golden
		if err := json.Unmarshal(raw, &g); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		files[filepath.Base(path)] = g
	}
	return files
}

// goldenName turns sales.v1.OrderPlaced into sales.OrderPlaced.v1.
func goldenName(schema string) string {
	parts := strings.Split(schema, ".")
	return parts[0] + "." + parts[2] + "." + parts[1]
}

// cover notes which fields a message has, to any depth.
func cover(message protoreflect.Message, path string, covered map[string]bool) {
	covered[path] = true
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		at := path + "." + string(field.Name())
		covered[at] = true
		switch {
		case field.Message() == nil:
		case field.IsList():
			for i := range value.List().Len() {
				cover(value.List().Get(i).Message(), at, covered)
			}
		default:
			cover(value.Message(), at, covered)
		}
		return true
	})
}

// uncovered lists the event types and fields that no golden file has.
func uncovered(t *testing.T, covered map[string]bool) []string {
	t.Helper()
	types, err := codec.Types()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, eventType := range types {
		cover(fill(eventType.New()).ProtoReflect(), string(eventType.Schema), all)
	}
	var missing []string
	for path := range all {
		if !covered[path] {
			missing = append(missing, path)
		}
	}
	return missing
}

// writeMissing writes a file for each event type of which some field is in no
// file yet.
func writeMissing(t *testing.T) {
	t.Helper()
	covered := map[string]bool{}
	for _, g := range goldenFiles(t) {
		message := checkGolden(t, g).Message.ProtoReflect()
		cover(message, string(message.Descriptor().FullName()), covered)
	}
	missing := strings.Join(uncovered(t, covered), "\n")
	types, err := codec.Types()
	if err != nil {
		t.Fatal(err)
	}
	for _, eventType := range types {
		if !strings.Contains(missing+"\n", string(eventType.Schema)+"\n") &&
			!strings.Contains(missing, string(eventType.Schema)+".") {
			continue
		}
		writeGolden(t, eventType)
	}
}

func writeGolden(t *testing.T, eventType *codec.Type) {
	t.Helper()
	name := goldenName(string(eventType.Schema))
	path := filepath.Join(goldenDir, name+".json")
	for n := 2; exists(t, path); n++ {
		path = filepath.Join(goldenDir, fmt.Sprintf("%s.%d.json", name, n))
	}
	message := fill(eventType.New())
	id := uuid.NewSHA1(uuid.Nil, []byte(filepath.Base(path)))
	event, err := newCodec(t, keyring.Memory()).Encode(context.Background(), message, id, metadata())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := marshalGolden(golden{
		ID: id, Type: event.Type, Metadata: event.Metadata, Data: event.Data, Opened: canonical(t, message),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil { //nolint:gosec // a file of the source tree
		t.Fatal(err)
	}
}

// marshalGolden leaves &, < and > as they are: the bytes of the data are what
// the file is for.
func marshalGolden(g golden) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(g)
	return b.Bytes(), err
}

func canonical(t *testing.T, message proto.Message) []byte {
	t.Helper()
	raw, err := codec.Canonical(message)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}
