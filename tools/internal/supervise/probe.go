package supervise

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// notReady is a child's answer to its probe that it is not.
type notReady struct {
	status string
	body   []byte
}

func (n *notReady) Error() string { return fmt.Sprintf("%s: %s", n.status, n.body) }

// reasons are those checks that failed and say why.
func (n *notReady) reasons() string {
	var report struct{ Checks map[string]string }
	if json.Unmarshal(n.body, &report) != nil {
		return "" // another program's answer: it is told as it is when time is up
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(report.Checks)) {
		if reason, ok := strings.CutPrefix(report.Checks[name], "failed: "); ok {
			all = append(all, reason)
		}
	}
	return strings.Join(all, "; ")
}

// probe asks a child whether it is ready. It returns a *notReady when it says no.
func probe(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return &notReady{status: resp.Status, body: bytes.TrimSpace(body)}
	}
	return nil
}

// sayEvery is how often what keeps a child from being ready is said, at most.
const sayEvery = 5 * time.Second

// hearing is what a child has answered so far.
type hearing struct {
	given map[string]bool
	said  string
	at    time.Time
}

// note returns whether the answer was not given before, and what there is to say.
func (h *hearing) note(answer *notReady, now time.Time) (line string, isNew bool) {
	isNew = !h.given[string(answer.body)]
	h.given[string(answer.body)] = true
	if line = answer.reasons(); line == h.said || now.Sub(h.at) < sayEvery {
		return "", isNew
	}
	h.said, h.at = line, now
	return line, isNew
}
