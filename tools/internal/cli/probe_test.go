package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
)

// serveProbes gives a script a service that is ready and one that stops.
func serveProbes(env *testscript.Env) {
	ready := http.NewServeMux()
	ready.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"ready"}`) })
	ready.HandleFunc("POST /v1/contacts", answered(func() proto.Message { return &channelv1.StartContactRequest{} }))
	ready.HandleFunc("GET /v1/contacts/c-1", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) })
	ready.HandleFunc("POST /v1/contacts/c-1/end", answered(func() proto.Message { return &channelv1.EndContactRequest{} }))
	stopping := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"status":"stopping"}`, http.StatusServiceUnavailable)
	})
	for name, handler := range map[string]http.Handler{"READY": ready, "STOPPING": stopping} {
		server := httptest.NewServer(handler)
		env.Setenv(name, server.URL)
		env.Defer(server.Close)
	}
}

// answered answers a call of this kind, and refuses what is none, and what could be done
// twice.
func answered(request func() proto.Message) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = protojson.Unmarshal(body, request())
		}
		if err != nil || r.Header.Get("Idempotency-Key") == "" {
			http.Error(w, fmt.Sprintf("key %q: %v", r.Header.Get("Idempotency-Key"), err), http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, `{"contact":{"contactId":"c-1"}}`)
	}
}
