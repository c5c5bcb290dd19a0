package probe

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

	"github.com/google/uuid"
)

// callTimeout is for one call.
const callTimeout = 10 * time.Second

// most is how much of an answer is read.
const most = 1 << 20

// Ready asks a service's REST port whether it is ready.
func Ready(ctx context.Context, url string) (found string, err error) {
	var report struct{ Status string }
	if err := call(ctx, http.MethodGet, url+"/readyz", "", nil, &report); err != nil {
		return "", err
	}
	return report.Status, nil
}

// Contact has a visitor nobody knows begin a contact on the website, looks at it, and
// ends it: done again with the same id it has one effect.
func Contact(ctx context.Context, channel string, id uuid.UUID) (found string, err error) {
	var begun, seen struct{ Contact struct{ ContactID string } }
	visitor := map[string]string{"channel": "CHANNEL_WEBSITE", "visitor_id": "probe-" + id.String()}
	if err := call(ctx, http.MethodPost, channel+"/v1/contacts", id.String()+"-begin", visitor, &begun); err != nil {
		return "", fmt.Errorf("begin a contact: %w", err)
	}
	at := channel + "/v1/contacts/" + begun.Contact.ContactID
	if err := call(ctx, http.MethodGet, at, "", nil, &seen); err != nil {
		return "", fmt.Errorf("look at the contact: %w", err)
	}
	outcome := map[string]string{"outcome": "CONTACT_OUTCOME_HANDLED"}
	if err := call(ctx, http.MethodPost, at+"/end", id.String()+"-end", outcome, nil); err != nil {
		return "", fmt.Errorf("end the contact: %w", err)
	}
	return "contact " + begun.Contact.ContactID + " began and ended", nil
}

// call makes one call and reads its answer, where it is wanted.
func call(ctx context.Context, method, url, key string, body, answer any) (err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	text, err = io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("the answer of %s: %w", url, err)
	}
	return nil
}
