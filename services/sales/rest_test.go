package sales_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// A value that is none is refused with those that are: in a path, in a body however
// deep, and in both with the same words.
func TestAnUnknownValueIsRefusedWithThoseThatThereAre(t *testing.T) {
	w := newWorld(t).start()
	const channels = "it is one of CHANNEL_WEBSITE, CHANNEL_EMAIL, CHANNEL_CALL_CENTRE, CHANNEL_BRANCH, CHANNEL_PRINT"
	for name, tc := range map[string]struct{ method, path, body, want string }{
		"in a path that is read":    {"GET", "/v1/outbound/PIGEON", "", channels},
		"in a path that is written": {"PUT", "/v1/outbound/PIGEON", "{}", channels},
		"in a body":                 {"PUT", "/v1/customers/c1/consent", `{"consent": "PERHAPS"}`, "it is one of CONSENT_GRANTED, CONSENT_WITHDRAWN"},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), tc.method, w.rest+tc.path, strings.NewReader(tc.body))
			w.must(err)
			request.Header.Set("Idempotency-Key", name)
			response, err := http.DefaultClient.Do(request)
			w.must(err)
			defer func() { w.must(response.Body.Close()) }()
			body, err := io.ReadAll(response.Body)
			w.must(err)
			if response.StatusCode != http.StatusBadRequest || strings.Count(string(body), tc.want) != 2 { // in the detail, and of the field
				t.Errorf("%d %s, want %q", response.StatusCode, body, tc.want)
			}
		})
	}
}
