// Package backoffice is a small back office, the outside partner that the suite
// is shown with: it does service requests at once, and leaves quotes and
// complaints to its people.
//
//	POST /requests        {"request_id", "kind", "text"}, header Idempotency-Key;
//	                      kind is quote, service or complaint
//	                      200 {"status":"done","reference"} or 202 {"status":"pending","reference"}
//	GET  /requests/{id}   what was answered
//	GET  /healthz
//
// The same key gets the same answer, also after a restart: the reference derives
// from the key, and what was taken in is kept in a journal. Neither the journal
// nor the log holds what a customer wrote.
package backoffice

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
)

// maxBody bounds a request: a visitor's own words are at most 4,000 characters.
const maxBody = 64 << 10

const longestID = 255

// Where a request stands.
const (
	StatusDone    = "done"
	StatusPending = "pending"
)

// kinds says what becomes of each kind of request.
var kinds = map[string]string{
	"service":   StatusDone,
	"quote":     StatusPending,
	"complaint": StatusPending,
}

// Answer is what the back office says of a request.
type Answer struct {
	Status    string `json:"status"`
	Reference string `json:"reference"`
}

type order struct {
	RequestID string `json:"request_id"`
	Kind      string `json:"kind"`
	Text      string `json:"text"`
}

// Office is a back office. Make one with Open.
type Office struct {
	journal *journal
	log     *slog.Logger
}

// Open opens a back office that keeps its journal in the file, or in memory when
// the name is empty.
func Open(file string, log *slog.Logger) (*Office, error) {
	j, err := openJournal(file)
	if err != nil {
		return nil, fmt.Errorf("back office: %w", err)
	}
	return &Office{journal: j, log: log}, nil
}

// Close closes the journal.
func (o *Office) Close() error { return o.journal.close() }

// Handler serves the back office.
func (o *Office) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /requests", o.take)
	mux.HandleFunc("GET /requests/{id}", o.look)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	return mux
}

func (o *Office) take(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Idempotency-Key")
	var wanted order
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&wanted)
	if err != nil {
		refuse(w, http.StatusBadRequest, "the body is not a JSON object of at most 64 KiB with request_id, kind and text")
		return
	}
	if complaint := wanted.check(key); complaint != "" {
		refuse(w, http.StatusBadRequest, complaint)
		return
	}
	kept, isNew, err := o.journal.record(entry{Key: key, RequestID: wanted.RequestID, Kind: wanted.Kind, Answer: decide(key, wanted.Kind)})
	switch {
	case err != nil:
		o.log.Error("journal failed", "error", err.Error())
		refuse(w, http.StatusServiceUnavailable, "the journal can't be written; try again")
		return
	case kept.RequestID != wanted.RequestID || kept.Kind != wanted.Kind:
		refuse(w, http.StatusConflict, "the key belongs to another request")
		return
	case isNew:
		o.log.Info("request taken in", "request", kept.RequestID, "kind", kept.Kind, "status", kept.Status, "reference", kept.Reference)
	}
	write(w, codeOf(kept.Answer), kept.Answer)
}

func (o order) check(key string) string {
	switch {
	case key == "" || len(key) > longestID:
		return "the header Idempotency-Key must be given, with at most 255 characters"
	case o.RequestID == "" || len(o.RequestID) > longestID:
		return "request_id must be given, with at most 255 characters"
	case kinds[o.Kind] == "":
		return "kind must be quote, service or complaint"
	}
	return ""
}

// decide answers by kind alone. The reference derives from the key, so that it
// is the same even when the journal is lost.
func decide(key, kind string) Answer {
	digest := sha256.Sum256([]byte(key))
	return Answer{Status: kinds[kind], Reference: "BO-" + strings.ToUpper(hex.EncodeToString(digest[:5]))}
}

func (o *Office) look(w http.ResponseWriter, r *http.Request) {
	kept, ok := o.journal.ofRequest(r.PathValue("id"))
	if !ok {
		refuse(w, http.StatusNotFound, "no such request was taken in")
		return
	}
	write(w, codeOf(kept.Answer), kept.Answer)
}

func codeOf(a Answer) int {
	if a.Status == StatusDone {
		return http.StatusOK
	}
	return http.StatusAccepted
}

func refuse(w http.ResponseWriter, code int, why string) {
	write(w, code, map[string]string{"error": why})
}

func write(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the caller has gone: nobody is left to tell
}
