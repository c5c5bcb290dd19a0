package faults_test

import (
	"bytes"
	"net"
	"slices"
	"sync"
	"testing"
)

// link is the way to the event store of somebody who knows no other one.
type link struct {
	listener net.Listener
	to       string

	mu      sync.Mutex
	changed *sync.Cond
	up      bool   // what is sent to the store arrives
	down    bool   // what it answers does
	refuses bool   // nobody gets a connection
	word    []byte // with which it falls silent
	from    []byte // a word that comes from the store as the other one, as long
	into    []byte
	open    []net.Conn
	ended   bool
}

func newLink(t *testing.T, to string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{listener: listener, to: to, up: true, down: true}
	l.changed = sync.NewCond(&l.mu)
	var serving sync.WaitGroup
	serving.Go(func() { l.serve(&serving) })
	t.Cleanup(func() {
		l.change(func() { l.ended = true })
		_ = listener.Close()
		l.hangUp()
		serving.Wait()
	})
	return l
}

func (l *link) connection() string { return "esdb://" + l.listener.Addr().String() + "?tls=false" }

func (l *link) change(how func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	how()
	l.changed.Broadcast()
}

// drop ends all connections, and lets nobody connect.
func (l *link) drop() {
	l.change(func() { l.refuses = true })
	l.hangUp()
}

// swallow lets connections stand, over which nothing arrives any more.
func (l *link) swallow() { l.change(func() { l.up, l.down = false, false }) }

// silence lets nothing arrive at the store from when a word is to be told it on.
func (l *link) silence(word string) { l.change(func() { l.word = []byte(word) }) }

// isSilent tells whether the word was to be told.
func (l *link) isSilent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.up
}

// mend makes it a good link again.
func (l *link) mend() {
	l.change(func() { l.up, l.down, l.refuses, l.word = true, true, false, nil })
}

// translate has a word come as another one that is as long, to who connects from now
// on.
func (l *link) translate(from, into string) {
	l.change(func() { l.from, l.into = []byte(from), []byte(into) })
}

func (l *link) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.open {
		_ = c.Close()
	}
	l.open = nil
	l.changed.Broadcast()
}

func (l *link) serve(serving *sync.WaitGroup) {
	for {
		caller, err := l.listener.Accept()
		if err != nil {
			return
		}
		store, err := net.Dial("tcp", l.to)
		if err != nil || !l.admit(caller, store) {
			_ = caller.Close()
			if store != nil {
				_ = store.Close()
			}
			continue
		}
		serving.Go(func() { l.pump(caller, store, &l.up) })
		serving.Go(func() { l.pump(store, caller, &l.down) })
	}
}

func (l *link) admit(caller, store net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuses || l.ended {
		return false
	}
	l.open = append(l.open, caller, store)
	return true
}

// pump carries what one says to the other, while it arrives.
func (l *link) pump(from, to net.Conn, arrives *bool) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if arrives == &l.up {
				l.listen(buffer[:n])
			}
			if !l.await(from, arrives) {
				return
			}
			if _, err := to.Write(l.translated(buffer[:n])); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// listen falls silent when the word is told.
func (l *link) listen(text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.word) > 0 && bytes.Contains(text, l.word) {
		l.up = false
	}
}

// await waits until what is said arrives; it does not where the connection has ended.
func (l *link) await(from net.Conn, arrives *bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !*arrives && !l.ended && l.isOpen(from) {
		l.changed.Wait()
	}
	return *arrives && l.isOpen(from)
}

func (l *link) isOpen(c net.Conn) bool { return slices.Contains(l.open, c) }

func (l *link) translated(text []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.from) == 0 {
		return text
	}
	return bytes.ReplaceAll(text, l.from, l.into)
}
