// Package backoffice hands requests to the back office, an outside partner.
//
//	POST /requests                     200 {"status":"done","reference":"…"}     it is done
//	Idempotency-Key: <request id>      202 {"status":"pending","reference":"…"}  it is theirs now
//	{"request_id","kind","text"}       anything else                             ask again
//
// The request's id is the key: asking again is safe, whatever became of the
// answer.
package backoffice

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/telemetry"
)

// deadline bounds one call. No visitor waits for it.
const deadline = 10 * time.Second

const (
	maxAnswer    = 64 << 10
	maxReference = 200
)

// Request is what the back office is asked to do.
type Request struct {
	ID   string
	Kind journeyv1.RequestKind
	Text string
}

// Answer is what it said.
type Answer struct {
	// Done tells that the request is done; else the back office has it and will
	// say so later.
	Done bool
	// Reference is the back office's own.
	Reference string
}

// ErrRefused says that the back office is there, and does not take this request.
var ErrRefused = errors.New("the back office did not take the request")

// Client speaks to one back office. It is safe for concurrent use.
type Client struct {
	url  string
	http *http.Client
}

// New returns a client of the back office at a URL.
func New(url string) *Client {
	return &Client{url: strings.TrimSuffix(url, "/"), http: &http.Client{
		Timeout: deadline,
		// A POST that is redirected may arrive as something else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Submit hands a request over and returns what the back office said. Its errors
// hold nothing of what the visitor said.
func (c *Client) Submit(ctx context.Context, request Request) (Answer, error) {
	post, err := c.newPost(ctx, request)
	if err != nil {
		return Answer{}, err
	}
	response, err := c.http.Do(post)
	if err != nil {
		return Answer{}, fmt.Errorf("ask the back office: %w", err)
	}
	answer, err := read(response)
	return answer, errors.Join(err, response.Body.Close())
}

func (c *Client) newPost(ctx context.Context, request Request) (*http.Request, error) {
	body, err := json.Marshal(map[string]string{
		"request_id": request.ID, "kind": kindName(request.Kind), "text": request.Text,
	})
	if err != nil {
		return nil, fmt.Errorf("write a request to the back office: %w", err)
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/requests", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("address the back office: %w", err)
	}
	post.Header.Set("Content-Type", "application/json")
	post.Header.Set("Idempotency-Key", request.ID)
	telemetry.Propagator.Inject(ctx, propagation.HeaderCarrier(post.Header))
	return post, nil
}

// kindName is a kind as the back office knows it: quote, service, complaint.
func kindName(kind journeyv1.RequestKind) string {
	return strings.ToLower(strings.TrimPrefix(kind.String(), "REQUEST_KIND_"))
}

func read(response *http.Response) (Answer, error) {
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusAccepted {
		return Answer{}, fmt.Errorf("%w: it answered %s", ErrRefused, response.Status)
	}
	var body struct {
		Status    string `json:"status"`
		Reference string `json:"reference"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&body); err != nil {
		return Answer{}, fmt.Errorf("%w: it answered something other than JSON", ErrRefused)
	}
	done := response.StatusCode == http.StatusOK && body.Status == "done"
	pending := response.StatusCode == http.StatusAccepted && body.Status == "pending"
	if !done && !pending {
		return Answer{}, fmt.Errorf("%w: it answered %s, and a status that does not fit", ErrRefused, response.Status)
	}
	return Answer{Done: done, Reference: cut(body.Reference)}, nil
}

func cut(reference string) string {
	if runes := []rune(reference); len(runes) > maxReference {
		return string(runes[:maxReference])
	}
	return reference
}
