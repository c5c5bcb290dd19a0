package faults_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // to look what the consumer has written down

	"github.com/triangle-suite/triangle/services/control"
)

// prober sends numbered events for as long as the test lasts: number n is an order of
// customer n, and is sent until it was taken.
type prober struct {
	w    *world
	sent []string // by number, whose order it is
	stop context.CancelFunc
	done chan struct{}
}

// every is how long the prober waits between two numbers.
const every = 30 * time.Millisecond

func (w *world) probe() *prober {
	ctx, cancel := context.WithCancel(w.Context())
	p := &prober{w: w, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		for tick := time.NewTicker(every); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				p.send(ctx)
			}
		}
	}()
	w.Cleanup(func() { cancel(); <-p.done })
	return p
}

// send sends the next number. What fails is sent again with its key, even when
// the prober is told to stop: a number was sent, or it was not.
func (p *prober) send(ctx context.Context) {
	n := len(p.sent) + 1
	ctx = context.WithoutCancel(ctx)
	customer := p.post(ctx, "/v1/customers", fmt.Sprintf(`{"customer_number": "prober-%d", "source": "prober"}`, n))
	p.post(ctx, "/v1/orders", fmt.Sprintf(`{"customer_number": "prober-%d", "order_number": "order-%d", "ordered_on": "2026-11-21", "quantity": 1, "amount_cents": 100, "source": "prober"}`, n, n))
	p.sent = append(p.sent, customer)
}

// post returns the customer that the answer names.
func (p *prober) post(ctx context.Context, path, body string) string {
	for tick := time.NewTicker(every); ; <-tick.C {
		answer, err := p.try(ctx, path, body)
		if err == nil {
			tick.Stop()
			return answer
		}
	}
}

func (p *prober) try(ctx context.Context, path, body string) (customer string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.w.sales.ready+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return "", err
	}
	request.Header.Set("Idempotency-Key", body)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	var told struct {
		CustomerID string `json:"customerId"`
	}
	if err == nil {
		err = json.Unmarshal(text, &told)
	}
	return told.CustomerID, err
}

// account ends the prober, and holds what was sent against what the consumer has
// written down, and against an audit that trusts nobody.
func (p *prober) account() {
	w := p.w
	w.Helper()
	p.stop()
	<-p.done
	if len(p.sent) < 20 {
		w.Errorf("only %d events were sent: the account would say nothing", len(p.sent))
	}
	var seen, lost, twice int
	w.await("an end of what was sent", func() bool {
		seen, lost, twice = p.compare(w.written())
		return lost == 0 || twice > 0
	})
	audit, err := w.flows.Audit(w.Context(), flow, control.AuditOf{From: &control.Position{}}, "prober")
	if err != nil {
		w.Fatal(err)
	}
	for _, line := range audit.Lines {
		lost, twice = lost+int(line.Missing), twice+int(line.Twice)
	}
	for _, objection := range audit.Objections {
		w.Errorf("the account does not close: %s", objection)
	}
	w.Logf("%d sent, %d seen, %d lost, %d twice", len(p.sent), seen, lost, twice)
	if lost+twice > 0 || seen != len(p.sent) {
		w.Errorf("%d sent, %d seen, %d lost, %d twice", len(p.sent), seen, lost, twice)
	}
}

func (p *prober) compare(orders map[string]int) (seen, lost, twice int) {
	for _, customer := range p.sent {
		switch orders[customer] {
		case 0:
			lost++
		case 1:
			seen++
		default:
			twice++
		}
	}
	return seen, lost, twice
}

// written is how many orders of each customer the consumer has written down.
func (w *world) written() map[string]int {
	w.Helper()
	orders := map[string]int{}
	w.inDatabase(`SELECT customer_id, orders FROM facts_customer`, func(row *sql.Rows) error {
		var customer string
		var n int
		err := row.Scan(&customer, &n)
		orders[customer] = n
		return err
	})
	return orders
}

// consumed is the epoch that the consumer takes the flow in at, by its own database.
func (w *world) consumed() (epoch int) {
	w.Helper()
	w.inDatabase(`SELECT epoch FROM flow_checkpoint WHERE flow = '`+flow+`'`, func(row *sql.Rows) error { return row.Scan(&epoch) })
	return epoch
}

// inDatabase looks into marketing's database beside marketing.
func (w *world) inDatabase(query string, each func(*sql.Rows) error) {
	w.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(w.data, "marketing.db"))+"?mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(w.Context(), query)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := each(rows); err != nil {
			w.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		w.Fatal(err)
	}
}
