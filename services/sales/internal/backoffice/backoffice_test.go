package backoffice_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/sales/internal/backoffice"
)

func TestAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		status  int
		body    string
		want    backoffice.Answer
		refused bool
	}{
		"done":                          {200, `{"status":"done","reference":"B-1"}`, backoffice.Answer{Done: true, Reference: "B-1"}, false},
		"pending":                       {202, `{"status":"pending","reference":"B-1"}`, backoffice.Answer{Reference: "B-1"}, false},
		"done without a reference":      {200, `{"status":"done"}`, backoffice.Answer{Done: true}, false},
		"a long reference":              {200, `{"status":"done","reference":"` + strings.Repeat("é", 300) + `"}`, backoffice.Answer{Done: true, Reference: strings.Repeat("é", 200)}, false},
		"done, but accepted":            {202, `{"status":"done"}`, backoffice.Answer{}, true},
		"pending, but all right":        {200, `{"status":"pending"}`, backoffice.Answer{}, true},
		"no JSON":                       {200, `<html>`, backoffice.Answer{}, true},
		"an error":                      {500, `{"status":"done"}`, backoffice.Answer{}, true},
		"a redirection is not followed": {302, ``, backoffice.Answer{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tc.status)
				if _, err := io.WriteString(w, tc.body); err != nil {
					t.Error(err)
				}
			}))
			defer server.Close()
			got, err := backoffice.New(server.URL+"/").Submit(t.Context(), backoffice.Request{
				ID: "r1", Kind: journeyv1.RequestKind_REQUEST_KIND_QUOTE, Text: "my secret",
			})
			if got != tc.want || errors.Is(err, backoffice.ErrRefused) != tc.refused || (err != nil) != tc.refused {
				t.Errorf("got %v, %v", got, err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error repeats the visitor's words: %v", err)
			}
		})
	}
}

func TestABackOfficeThatIsAwayHasNotRefused(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := backoffice.New(server.URL).Submit(t.Context(), backoffice.Request{ID: "r1"})
	if err == nil || errors.Is(err, backoffice.ErrRefused) {
		t.Errorf("err = %v", err)
	}
}
