package telemetry_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/triangle-suite/triangle/services/telemetry"
)

// A caller elsewhere gets nothing, nor one who comes by a proxy that stands here.
func TestTheLogsLevelIsForThisMachineAlone(t *testing.T) {
	observed := &telemetry.Telemetry{Level: new(slog.LevelVar), Logger: slog.New(slog.DiscardHandler)}
	handler := observed.LogLevel(func(w http.ResponseWriter, _ *http.Request, status int, _, detail string) {
		http.Error(w, detail, status)
	})
	for name, tc := range map[string]struct {
		from   string
		header string
		want   int
	}{
		"this machine":                {"127.0.0.1:4711", "", 200},
		"this machine, by IPv6":       {"[::1]:4711", "", 200},
		"another pod":                 {"10.1.2.3:4711", "", 403},
		"another one, by IPv6":        {"[2001:db8::1]:4711", "", 403},
		"somebody by a proxy":         {"127.0.0.1:4711", "X-Forwarded-For", 403},
		"somebody by another proxy":   {"127.0.0.1:4711", "Forwarded", 403},
		"a connection without a name": {"@", "", 403},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			req := httptest.NewRequestWithContext(context.Background(), method, "/loglevel", strings.NewReader("debug"))
			req.RemoteAddr = tc.from
			if tc.header != "" {
				req.Header.Set(tc.header, "for=192.0.2.7")
			}
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, req)
			if answer.Code != tc.want {
				t.Errorf("%s: %s is answered %d, want %d", name, method, answer.Code, tc.want)
			}
			if tc.want == 403 && !strings.Contains(answer.Body.String(), "kubectl port-forward") {
				t.Errorf("%s is told %s", name, answer.Body)
			}
		}
	}
}
