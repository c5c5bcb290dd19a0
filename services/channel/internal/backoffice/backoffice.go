// Package backoffice asks the back office, an outside partner, to do a request
// while the visitor is in contact.
//
//	POST /requests            ──▶  200 {"status": "done", "reference": "…"}     done
//	Idempotency-Key: <id>          202 {"status": "pending", "reference": "…"}  pending
//	{"request_id", "kind", "text"} anything else, or nothing in time            pending
//
// Asking again is safe: the request's id is the key by which the back office
// knows that it was asked before.
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
	"unicode/utf8"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
)

// Deadline is how long a visitor is kept waiting for the back office.
const Deadline = 500 * time.Millisecond

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

// Answer is what came of asking. It holds nothing personal.
type Answer struct {
	// Reference is the back office's own, where it has done the request.
	Reference string
	// Pending is why it has not; empty when it has.
	Pending string
}

// Client asks one back office.
type Client struct {
	url      string
	deadline time.Duration
	http     *http.Client
}

// New returns a client of the back office at url. Without a url every request
// stays pending.
func New(url string, deadline time.Duration) *Client {
	return &Client{
		url:      strings.TrimSuffix(url, "/"),
		deadline: deadline,
		http: &http.Client{
			// A POST that is redirected may arrive as something else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Ask asks the back office to do a request, and waits for its answer until the
// deadline. Whatever goes wrong with the back office leaves the request pending;
// an error is only returned when ctx has ended, as then nobody can tell.
func (c *Client) Ask(ctx context.Context, request Request) (Answer, error) {
	if c.url == "" {
		return Answer{Pending: "there is no back office to ask"}, nil
	}
	asking, cancel := context.WithTimeout(ctx, c.deadline)
	defer cancel()
	answer, err := c.post(asking, request)
	switch {
	case err == nil:
		return answer, nil
	case ctx.Err() != nil:
		return Answer{}, fmt.Errorf("ask the back office: %w", ctx.Err())
	case asking.Err() != nil:
		return Answer{Pending: fmt.Sprintf("the back office did not answer within %s", c.deadline)}, nil
	}
	if said, ok := errors.AsType[refusal](err); ok {
		return Answer{Pending: said.Error()}, nil
	}
	// What the network says may quote the partner's address, with a password.
	return Answer{Pending: "the back office can't be reached"}, nil
}

// refusal is an answer that does no request. Its text holds nothing of what the
// partner wrote.
type refusal string

func (r refusal) Error() string { return string(r) }

const notUnderstood refusal = "the back office gave an answer that is not understood"

func (c *Client) post(ctx context.Context, request Request) (answer Answer, err error) {
	body, err := json.Marshal(map[string]string{
		"request_id": request.ID, "kind": kindName(request.Kind), "text": request.Text,
	})
	if err != nil {
		return Answer{}, err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/requests", bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	post.Header.Set("Content-Type", "application/json")
	post.Header.Set("Idempotency-Key", request.ID)
	response, err := c.http.Do(post)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = response.Body.Close() }() // all that matters has been read
	return read(response)
}

func read(response *http.Response) (Answer, error) {
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusAccepted {
		return Answer{}, refusal(fmt.Sprintf("the back office answered %d", response.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return Answer{}, err
	}
	var said struct{ Status, Reference string }
	if err := json.Unmarshal(body, &said); err != nil {
		return Answer{}, notUnderstood
	}
	switch {
	case !utf8.ValidString(said.Reference) || utf8.RuneCountInString(said.Reference) > maxReference:
		return Answer{}, notUnderstood
	case response.StatusCode == http.StatusAccepted || said.Status == "pending":
		return Answer{Pending: "the back office has it in hand"}, nil
	case said.Status != "done":
		return Answer{}, notUnderstood
	}
	return Answer{Reference: said.Reference}, nil
}

// kindName is a kind as the back office knows it: quote, service, complaint.
func kindName(kind journeyv1.RequestKind) string {
	return strings.ToLower(strings.TrimPrefix(kind.String(), "REQUEST_KIND_"))
}
