package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// prober registers customers while the test does other things. A customer who was not
// answered for is sent again, with the key of the first time, to whatever pod is there:
// in the end each number was sent, once.
type prober struct {
	w    *world
	at   *forwarded
	stop context.CancelFunc
	done chan error
}

// every is how long the prober waits between two numbers, and before it tries again.
const every = 100 * time.Millisecond

// probe begins to register customers, until the returned function is called.
func (w *world) probe() (end func()) {
	ctx, stop := context.WithCancel(w.Context())
	p := &prober{w: w, stop: stop, done: make(chan error, 1)}
	go func() { p.done <- p.run(ctx) }()
	ended := false
	end = func() {
		w.Helper()
		if stop(); ended {
			return
		}
		ended = true
		if err := <-p.done; err != nil {
			w.Errorf("the prober: %v", err)
		}
	}
	w.Cleanup(end)
	return end
}

func (p *prober) run(ctx context.Context) (err error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for err == nil && ctx.Err() == nil {
		err = p.send(int(p.w.registered.Load())+1, tick)
		<-tick.C
	}
	p.letGo()
	return err
}

// send sends a number until it was taken, also when the prober is told to stop.
func (p *prober) send(n int, tick *time.Ticker) error {
	path, key, text, err := customer(n)
	if err != nil {
		return err
	}
	for late := time.Now().Add(patience); ; <-tick.C {
		last := p.try(path, key, text)
		if last == nil {
			p.w.registered.Add(1)
			return nil
		}
		p.letGo()
		if p.w.Context().Err() != nil || time.Now().After(late) {
			return fmt.Errorf("number %d was not taken: %w", n, last)
		}
	}
}

func (p *prober) try(path, key string, text []byte) (err error) {
	if p.at == nil {
		if p.at, err = p.w.forward("triangle-sales", ports["sales"]); err != nil {
			return err
		}
	}
	_, err = p.w.post(p.at.address+path, key, text)
	return err
}

func (p *prober) letGo() {
	if p.at != nil {
		p.at.end()
		p.at = nil
	}
}

// customer is the call that registers the customer of a number.
func customer(n int) (path, key string, text []byte, err error) {
	number := fmt.Sprintf("prober-%d", n)
	text, err = json.Marshal(map[string]string{"customer_number": number, "source": "prober"})
	return "/v1/customers", number, text, err
}

// register has customers registered, each with a number of its own, where no prober
// does.
func (w *world) register(n int) {
	w.Helper()
	for range n {
		path, key, text, err := customer(w.sent() + 1)
		if err != nil {
			w.Fatal(err)
		}
		w.send("sales", path, key, text)
		w.registered.Add(1)
	}
}

// sent is how many customers were registered.
func (w *world) sent() int { return int(w.registered.Load()) }

// goesOn waits until so many more customers were registered.
func (w *world) goesOn(more int) {
	w.Helper()
	until := w.sent() + more
	w.until("customers that are registered", func() bool { return w.sent() >= until })
}

// allAreAccountedFor tells how many customers the prober has sent, and what became of
// them in the flow's tables.
func (w *world) allAreAccountedFor() {
	w.Helper()
	var seen, lost, twice int
	w.until("every customer is accounted for", func() bool {
		seen, lost, twice = w.account()
		return lost+twice > 0 || seen == w.sent()
	})
	w.Logf("customers: %d sent, %d seen, %d lost, %d twice", w.sent(), seen, lost, twice)
	if lost+twice > 0 {
		w.Error("customers were lost, or came twice")
	}
}

// account has the flow audited from the first event on; it tells of nothing while
// the store is away.
func (w *world) account() (seen, lost, twice int) {
	w.Helper()
	out, err := w.command("flow", "audit", "customer-facts", "--from", "0", "--json")
	var audit struct {
		Versions []struct{ Delivered, Missing, Twice int }
	}
	if jsonErr := json.Unmarshal([]byte(out), &audit); jsonErr != nil {
		w.Logf("no account: %v", errors.Join(err, jsonErr))
		return 0, 0, 0
	}
	for _, v := range audit.Versions {
		seen, lost, twice = seen+v.Delivered, lost+v.Missing, twice+v.Twice
	}
	return seen, lost, twice
}
