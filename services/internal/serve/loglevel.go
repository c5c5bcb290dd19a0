package serve

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
)

// maxLevelBytes is more than the name of any level has.
const maxLevelBytes = 64

// logLevel tells the level of the log, and changes it: GET and PUT /loglevel. It
// answers callers on this machine alone, where kubectl port-forward arrives, too: at
// debug a log is long, and costs.
type logLevel struct {
	level *slog.LevelVar
	log   *slog.Logger
}

// levels are those that there are, by their names.
var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// ServeHTTP answers /loglevel.
func (l logLevel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !fromHere(r) {
		problem{
			Status: http.StatusForbidden, Reason: "LOOPBACK_ONLY",
			Detail: "the log's level is told and changed on this machine alone: use kubectl port-forward to the pod, and call localhost",
		}.write(w, r)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		l.tell(w)
	case http.MethodPut:
		l.change(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT")
		problem{Status: http.StatusMethodNotAllowed, Reason: "METHOD_NOT_ALLOWED", Detail: "this path takes GET, HEAD, PUT, not " + r.Method}.write(w, r)
	}
}

func (l logLevel) tell(w http.ResponseWriter) {
	writeJSON(w, http.StatusOK, "application/json", map[string]string{"level": strings.ToLower(l.level.Level().String())})
}

// change sets the level that the body names.
func (l logLevel) change(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLevelBytes))
	level, known := levels[strings.ToLower(strings.TrimSpace(string(body)))]
	if err != nil || !known {
		problem{
			Status: http.StatusBadRequest, Reason: "INVALID_ARGUMENT",
			Detail: "the body is no level: write debug, info, warn or error, and nothing else",
		}.write(w, r)
		return
	}
	before := l.level.Level()
	l.level.Set(level)
	if before != level {
		// Above all levels: whoever reads the log wants to know why it changes.
		l.log.Log(r.Context(), slog.LevelError+1, fmt.Sprintf("the log's level is %s from here on, and was %s", level, before))
	}
	l.tell(w)
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
