package persistent

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// written is what a store of version 1 has written: it is read for ever.
const written = `{"version":1,"groups":[
{"stream":"s","group":"g","settings":{"resolveLinks":true,"extraStatistics":false,"strategy":"Pinned",
"messageTimeoutNanos":30000000000,"maxRetries":10,"maxConsumers":2,"readBatch":20,"historyBuffer":500,"liveBuffer":400,
"checkpointAfterNanos":2000000000,"minCheckpoint":10,"maxCheckpoint":1000},"start":{"kind":"end"},"first":12},
{"stream":"$all","group":"g","settings":{"resolveLinks":false,"extraStatistics":true,"strategy":"RoundRobin",
"messageTimeoutNanos":0,"maxRetries":0,"maxConsumers":0,"readBatch":1,"historyBuffer":1,"liveBuffer":0,
"checkpointAfterNanos":0,"minCheckpoint":0,"maxCheckpoint":0},"start":{"kind":"place","at":7},"first":7,
"filter":{"byStream":true,"prefixes":["a","b"]}}]}`

func TestDefinitionsOfVersion1AreRead(t *testing.T) {
	want := []Definition{
		{
			Key: Key{Stream: "s", Group: "g"},
			Settings: Settings{
				ResolveLinks: true, Strategy: Pinned, MessageTimeout: 30 * time.Second, MaxRetries: 10, MaxConsumers: 2,
				ReadBatch: 20, HistoryBuffer: 500, LiveBuffer: 400, CheckpointAfter: 2 * time.Second, MinCheckpoint: 10, MaxCheckpoint: 1000,
			},
			Start: Start{Kind: StartAtEnd}, First: 12,
		},
		{
			Key:      Key{Stream: "$all", Group: "g"},
			Settings: Settings{ExtraStatistics: true, Strategy: RoundRobin, ReadBatch: 1, HistoryBuffer: 1},
			Start:    Start{Kind: StartAtPlace, At: 7}, First: 7,
			Filter: &Filter{ByStream: true, Prefixes: []string{"a", "b"}},
		},
	}
	got, err := decodeConfig([]byte(written))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("definitions (-want +got):\n%s", diff)
	}
	again, err := json.Marshal(config{Version: configVersion, Groups: got})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.ReplaceAll(written, "\n", ""), string(again)); diff != "" {
		t.Errorf("written again (-want +got):\n%s", diff)
	}
}

func TestDefinitionsThatAreRefused(t *testing.T) {
	cases := map[string]string{
		"no JSON":          `x`,
		"a newer version":  `{"version":2}`,
		"no version":       `{}`,
		"no name":          `{"version":1,"groups":[{"stream":"s"}]}`,
		"unknown strategy": strings.Replace(written, "Pinned", "Best", 1),
		"filter of one":    strings.Replace(written, "$all", "t", 1),
		"malformed filter": strings.Replace(written, `"prefixes":["a","b"]`, `"pattern":"("`, 1),
	}
	for name, data := range cases {
		if _, err := decodeConfig([]byte(data)); err == nil || !strings.Contains(err.Error(), configStream) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParsePlace(f *testing.F) {
	for _, text := range []string{"0", "12", "C:5/P:5", "-1", "", "C:/P:", "C:1", "x", "99999999999999999999"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := parsePlace(text)
		if err != nil {
			return
		}
		for _, stream := range []string{"s", "$all"} {
			d := Definition{Key: Key{Stream: stream}}
			if again, err := parsePlace(d.format(at)); err != nil || again != at {
				t.Errorf("%q is read as %d, then as %d, %v", text, at, again, err)
			}
		}
	})
}
