package telemetry

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
)

// maxLevelBytes is more than the name of any level has.
const maxLevelBytes = 64

// levels are those that there are, by their names.
var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// Refusal tells a caller why a request is refused: with the status, with a constant for
// programs, and with what to do instead.
type Refusal func(w http.ResponseWriter, r *http.Request, status int, reason, detail string)

// LogLevel tells the level of the log as {"level":"info"}, and changes it: GET, and PUT
// with the level's name. It answers callers on this machine alone, where kubectl
// port-forward arrives, too: at debug a log is long, and costs.
func (t *Telemetry) LogLevel(refuse Refusal) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !fromHere(r):
			refuse(w, r, http.StatusForbidden, "LOOPBACK_ONLY",
				"the log's level is told and changed on this machine alone: use kubectl port-forward to the pod, and call localhost")
		case r.Method == http.MethodPut:
			t.changeLevel(w, r, refuse)
		case r.Method == http.MethodGet, r.Method == http.MethodHead:
			t.tellLevel(w)
		default:
			w.Header().Set("Allow", "GET, HEAD, PUT")
			refuse(w, r, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "this path takes GET, HEAD, PUT, not "+r.Method)
		}
	})
}

func (t *Telemetry) tellLevel(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"level": strings.ToLower(t.Level.Level().String())}) // the caller is gone when this fails
}

// changeLevel sets the level that the body names.
func (t *Telemetry) changeLevel(w http.ResponseWriter, r *http.Request, refuse Refusal) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLevelBytes))
	level, known := levels[strings.ToLower(strings.TrimSpace(string(body)))]
	if err != nil || !known {
		refuse(w, r, http.StatusBadRequest, "INVALID_ARGUMENT", "the body is no level: write debug, info, warn or error, and nothing else")
		return
	}
	before := t.Level.Level()
	t.Level.Set(level)
	if before != level {
		// Above all levels: whoever reads the log wants to know why it changes.
		t.Logger.Log(r.Context(), slog.LevelError+1, fmt.Sprintf("the log's level is %s from here on, and was %s", level, before))
	}
	t.tellLevel(w)
}

// fromHere tells whether a request was made on this machine, and by no proxy here
// for somebody elsewhere.
func fromHere(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || !net.ParseIP(host).IsLoopback() {
		return false
	}
	return r.Header.Get("Forwarded") == "" && r.Header.Get("X-Forwarded-For") == ""
}
