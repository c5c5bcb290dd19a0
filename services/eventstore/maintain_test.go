package eventstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/triangle-suite/triangle/services/eventstore"
)

// runStore runs a store on data while use uses it.
func runStore(t *testing.T, data eventstore.Data, use func(client *esdb.Client)) {
	t.Helper()
	server, err := eventstore.Start(eventstore.Config{Addr: "127.0.0.1:0", Data: data})
	if err != nil {
		t.Fatal(err)
	}
	config, err := esdb.ParseConnectionString("esdb://" + server.Addr() + "?tls=false")
	if err != nil {
		t.Fatal(err)
	}
	config.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	use(client)
	if err := errors.Join(client.Close(), server.Stop(context.Background())); err != nil {
		t.Fatal(err)
	}
}

func exported(t *testing.T, data eventstore.Data) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := eventstore.Export(data, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// What is exported from one store and imported into a new one is the same
// store: a second export says the same, and streams go on where they were.
func TestAnImportIsWhatWasExported(t *testing.T) {
	ctx := context.Background()
	from, to := eventstore.Memory(), eventstore.Memory()
	runStore(t, from, func(client *esdb.Client) {
		for i := range 20 {
			name := fmt.Sprintf("s%d", i%3)
			if _, err := client.AppendToStream(ctx, name, esdb.AppendToStreamOptions{}, events(3)...); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := client.DeleteStream(ctx, "s1", esdb.DeleteStreamOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.TombstoneStream(ctx, "s2", esdb.TombstoneStreamOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	dump := exported(t, from)
	n, err := eventstore.Import(to, strings.NewReader(dump))
	if err != nil || n != 62 {
		t.Fatalf("imported %d events, want 62: %v", n, err)
	}
	if again := exported(t, to); again != dump {
		t.Errorf("the import exports something else:\n%s\nwas\n%s", again, dump)
	}
	runStore(t, to, func(client *esdb.Client) {
		written, err := client.AppendToStream(ctx, "s0", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Revision(20)}, events(1)...)
		if err != nil || written.NextExpectedVersion != 21 {
			t.Errorf("s0 went on at %+v, want 21: %v", written, err)
		}
		if _, err := client.AppendToStream(ctx, "s2", esdb.AppendToStreamOptions{}, events(1)...); codeOf(err) != esdb.ErrorCodeStreamDeleted {
			t.Errorf("s2 has ended, but an append to it ended with %v", err)
		}
	})
	if _, err := eventstore.Verify(to, func(damage error) { t.Errorf("found: %v", damage) }); err != nil {
		t.Fatal(err)
	}
}

func TestAnImportThatFailsLeavesNoStore(t *testing.T) {
	event := func(change func(map[string]string)) string {
		fields := map[string]string{
			"position": "10", "stream": `"s"`, "revision": "1", "id": `"38fffbc2-339e-11ea-8c7b-784f43837872"`, "type": `"t"`,
			"created": `"2026-01-01T00:00:00Z"`, "contentType": `"application/json"`, "data": `"e30="`, "metadata": `""`,
		}
		change(fields)
		var parts []string
		for key, value := range fields {
			parts = append(parts, fmt.Sprintf("%q:%s", key, value))
		}
		return "{" + strings.Join(parts, ",") + "}\n"
	}
	good := event(func(map[string]string) {})
	set := func(key, value string) string { return event(func(f map[string]string) { f[key] = value }) }
	cases := map[string]struct{ lines, wants string }{
		"no JSON":                  {"hello\n", "line 1"},
		"a field that is not ours": {set("color", `"red"`), "color"},
		"no position":              {set("position", "0"), "position 0"},
		"a position twice":         {good + set("revision", "2"), "event 2: no store can hold it: position 10"},
		"a revision twice":         {good + set("position", "11"), `revision 1 of stream "s"`},
		"no stream":                {set("stream", `""`), "stream name"},
		"no type":                  {set("type", `""`), "no type"},
		"no id":                    {set("id", `"x"`), "line 1"},
		"an unknown content type":  {set("contentType", `"text/plain"`), "text/plain"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			data := eventstore.Folder(filepath.Join(t.TempDir(), "data"))
			_, err := eventstore.Import(data, strings.NewReader(tc.lines))
			if err == nil || !strings.Contains(err.Error(), tc.wants) {
				t.Fatalf("the import ended with %v, want %q", err, tc.wants)
			}
			if _, err := eventstore.Export(data, &bytes.Buffer{}); !errors.Is(err, eventstore.ErrNoStore) {
				t.Errorf("there is a store: %v", err)
			}
			if n, err := eventstore.Import(data, strings.NewReader(good)); err != nil || n != 1 {
				t.Errorf("importing again: %d events, %v", n, err)
			}
			if _, err := eventstore.Import(data, strings.NewReader(good)); !errors.Is(err, eventstore.ErrNotEmpty) {
				t.Errorf("importing into a store ended with %v, want %v", err, eventstore.ErrNotEmpty)
			}
		})
	}
}
