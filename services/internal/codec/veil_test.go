package codec_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

func TestAVeiledEventShowsAllButWhatIsPersonal(t *testing.T) {
	keyless := newCodec(t, nil)
	person := func(o map[string]any) map[string]any { return o["person"].(map[string]any) }
	tests := map[string]struct {
		change func(e *eventlog.Event)
		want   []string // in the data
		err    error
	}{
		"sealed": {func(*eventlog.Event) {}, []string{`"surname":"(sealed)"`, `"customerId":"`}, nil},
		"in clear": {func(e *eventlog.Event) {
			e.Data = edit(t, e.Data, func(o map[string]any) { person(o)["surname"] = "Byron" })
		}, []string{`"surname":"(personal, and not sealed: not shown)"`}, nil},
		"a field that the contract does not have": {func(e *eventlog.Event) {
			e.Data = edit(t, e.Data, func(o map[string]any) { o["nickname"] = "Byron" })
		}, []string{`"customerId":"`}, nil},
		"a field of another kind": {func(e *eventlog.Event) {
			e.Data = edit(t, e.Data, func(o map[string]any) { o["person"] = "Byron" })
		}, nil, codec.ErrMalformed},
		"a type that nobody knows": {func(e *eventlog.Event) { e.Type = "sales.Nonsense" }, nil, codec.ErrUnknownType},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			event := mustEncode(t, newCodec(t, keyring.Memory()), customer())
			tc.change(&event)
			veiled, err := keyless.Veil(event)
			if !errors.Is(err, tc.err) {
				t.Fatalf("Veil fails with %v, want %v", err, tc.err)
			}
			shown := string(veiled.Metadata) + string(veiled.Data)
			if err != nil {
				shown += err.Error()
			}
			for _, want := range tc.want {
				if !strings.Contains(string(veiled.Data), want) {
					t.Errorf("%s is not in %s", want, veiled.Data)
				}
			}
			if !strings.Contains(string(veiled.Metadata), event.ID.String()) {
				t.Errorf("the metadata is %s, want that of %s", veiled.Metadata, event.ID)
			}
			for _, personal := range []string{"Byron", "Lovelace", customer().GetPerson().GetSurname(), customer().GetPerson().GetGivenName(), "sealed:v1:"} {
				if strings.Contains(shown, personal) {
					t.Errorf("%q is shown: %s", personal, shown)
				}
			}
		})
	}
}
