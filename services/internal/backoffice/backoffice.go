// Package backoffice is the contract with the back office, an outside partner
// that does what customers ask.
//
//	POST /requests                     200 {"status":"done","reference":"…"}     it is done
//	Idempotency-Key: <request id>      202 {"status":"pending","reference":"…"}  it is theirs now
//	{"request_id","kind","text"}       anything else                             a Refusal
//
// The kinds are quote, service and complaint. The request's id is the key: asking
// again is safe, whatever became of the answer. How long to wait, and whether to
// ask again, is the caller's.
package backoffice

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/propagation"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/telemetry"
)

// Partner is what the back office is called in traces, and by who works with it.
const Partner = "back office"

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

// Answer is what it said. It holds nothing personal.
type Answer struct {
	// Done tells that the request is done; else the back office has it in hand.
	Done bool
	// Reference is the back office's own.
	Reference string
}

// Refusal says that the back office is there, and does not take this request as
// the contract says. It holds nothing of what the partner wrote.
type Refusal string

// Error says what the back office did.
func (r Refusal) Error() string { return string(r) }

const notUnderstood Refusal = "the back office gave an answer that is not understood"

// Client asks one back office. It is safe for concurrent use.
type Client struct {
	url  string
	http *http.Client
}

// New returns a client of the back office at a URL.
func New(url string) *Client {
	return &Client{url: strings.TrimSuffix(url, "/"), http: &http.Client{
		// A POST that is redirected may arrive as something else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Ask hands a request over, waits for the answer until ctx ends, and returns what
// the back office said, or a Refusal. Any other error tells nothing of the
// request. No error holds what the customer wrote; what the network says may
// quote the partner's address.
func (c *Client) Ask(ctx context.Context, request Request) (Answer, error) {
	post, err := c.newPost(ctx, request)
	if err != nil {
		return Answer{}, err
	}
	response, err := c.http.Do(post)
	if err != nil {
		return Answer{}, fmt.Errorf("ask the back office: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // all that matters has been read
	return read(response)
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
		return Answer{}, Refusal(fmt.Sprintf("the back office answered %d", response.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return Answer{}, fmt.Errorf("read what the back office answers: %w", err)
	}
	var said struct {
		Status    string `json:"status"`
		Reference string `json:"reference"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return Answer{}, notUnderstood
	}
	done := response.StatusCode == http.StatusOK && said.Status == "done"
	pending := response.StatusCode == http.StatusAccepted && said.Status == "pending"
	if !done && !pending {
		return Answer{}, notUnderstood
	}
	return Answer{Done: done, Reference: cut(said.Reference)}, nil
}

// cut shortens a reference: a request that is done is done, however it is called.
func cut(reference string) string {
	if runes := []rune(reference); len(runes) > maxReference {
		return string(runes[:maxReference])
	}
	return reference
}
