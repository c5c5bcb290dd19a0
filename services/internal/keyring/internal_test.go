package keyring

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/services/internal/pgtest"
)

func TestAnErasureReachesTheOtherProcesses(t *testing.T) {
	for name, database := range pgtest.Databases() {
		t.Run(name, func(t *testing.T) { eraseElsewhere(t, database(t)) })
	}
}

func eraseElsewhere(t *testing.T, where string) {
	t.Helper()
	ctx := context.Background()
	here, there := openAt(t, where), openAt(t, where)
	clock := time.Now()
	there.now = func() time.Time { return clock }
	if _, err := there.Key(ctx, "customer:1"); err != nil {
		t.Fatal(err)
	}
	if err := here.Destroy(ctx, "customer:1", Erasure{By: "dpo"}); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Existing(ctx, "customer:1"); !errors.Is(err, ErrDestroyed) {
		t.Errorf("where it was destroyed, at once: %v, want ErrDestroyed", err)
	}
	clock = clock.Add(trust)
	if _, err := there.Existing(ctx, "customer:1"); !errors.Is(err, ErrDestroyed) {
		t.Errorf("elsewhere, after %v: %v, want ErrDestroyed", trust, err)
	}
	if _, err := there.Key(ctx, "customer:1"); !errors.Is(err, ErrDestroyed) {
		t.Errorf("a new key elsewhere: %v, want ErrDestroyed", err)
	}
}

// A process whose cache is cold learns of an erasure from the insert itself.
func TestCreatingADestroyedKeyFails(t *testing.T) {
	for name, database := range pgtest.Databases() {
		t.Run(name, func(t *testing.T) { createDestroyed(t, openAt(t, database(t))) })
	}
}

func createDestroyed(t *testing.T, ring *SQLRing) {
	t.Helper()
	ctx := context.Background()
	if _, err := ring.Key(ctx, "customer:1"); err != nil {
		t.Fatal(err)
	}
	if err := ring.Destroy(ctx, "customer:1", Erasure{}); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.committer.create(ctx, "customer:1"); !errors.Is(err, ErrDestroyed) {
		t.Errorf("create: %v, want ErrDestroyed", err)
	}
}

func TestADestructionThatLeavesTracesIsAnError(t *testing.T) {
	ring := openAt(t, filepath.Join(t.TempDir(), "keys.db"))
	ctx := context.Background()
	if _, err := ring.Key(ctx, "customer:1"); err != nil {
		t.Fatal(err)
	}
	busy := errors.New("busy")
	scrub := ring.engine.scrub
	ring.engine.scrub = func(context.Context, *sql.DB) error { return busy }
	if err := ring.Destroy(ctx, "customer:1", Erasure{}); !errors.Is(err, busy) {
		t.Errorf("Destroy: %v, want the reason", err)
	}
	ring.engine.scrub = scrub
	if err := ring.Destroy(ctx, "customer:1", Erasure{}); err != nil {
		t.Errorf("Destroy again: %v", err)
	}
}

func openAt(t *testing.T, path string) *SQLRing {
	t.Helper()
	ring, err := Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ring.Close(); err != nil {
			t.Error(err)
		}
	})
	return ring
}

// slowCommit is a commit that begins and ends when the test says so.
type slowCommit struct {
	begun   chan []string
	proceed chan error
}

func (s slowCommit) commit(_ context.Context, subjects []string) (map[string]Key, error) {
	s.begun <- subjects
	err := <-s.proceed
	keys := map[string]Key{}
	for _, subject := range subjects {
		keys[subject] = Key{subject[0]}
	}
	return keys, err
}

func TestCallersThatWaitTogetherShareATransaction(t *testing.T) {
	slow := slowCommit{begun: make(chan []string), proceed: make(chan error)}
	c := &committer{commit: slow.commit}
	var callers sync.WaitGroup
	create := func(subject string) {
		callers.Go(func() {
			if key, err := c.create(context.Background(), subject); err != nil || key != (Key{subject[0]}) {
				t.Errorf("create(%s): %v", subject, err)
			}
		})
	}
	create("a")
	<-slow.begun
	const more = 20
	for i := range more {
		create(fmt.Sprintf("%c", 'b'+i))
	}
	waitFor(t, c, more)
	slow.proceed <- nil
	if second := <-slow.begun; len(second) != more {
		t.Errorf("the second transaction holds %d keys, want all %d that waited", len(second), more)
	}
	slow.proceed <- nil
	callers.Wait()
	c.close()
	if _, err := c.create(context.Background(), "z"); !errors.Is(err, ErrClosed) {
		t.Errorf("create after close: %v, want ErrClosed", err)
	}
}

func TestACallerWhoGivesUpHoldsNobodyBack(t *testing.T) {
	slow := slowCommit{begun: make(chan []string), proceed: make(chan error)}
	c := &committer{commit: slow.commit}
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan error)
	go func() {
		_, err := c.create(ctx, "a")
		first <- err
	}()
	<-slow.begun
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller who gave up: %v, want context.Canceled", err)
	}
	second := make(chan error)
	go func() {
		_, err := c.create(context.Background(), "b")
		second <- err
	}()
	slow.proceed <- nil
	<-slow.begun
	failure := errors.New("disk full")
	slow.proceed <- failure
	if err := <-second; !errors.Is(err, failure) {
		t.Errorf("a failed commit: %v, want its reason", err)
	}
	c.close()
}

// waitFor returns when n callers wait for the next transaction.
func waitFor(t *testing.T, c *committer, n int) {
	t.Helper()
	for {
		c.mu.Lock()
		waiting := len(c.waiting)
		c.mu.Unlock()
		if waiting == n {
			return
		}
		if t.Context().Err() != nil {
			t.Fatal("the callers never came")
		}
		runtime.Gosched()
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	c := newCache(3)
	for i := range 10 {
		_, age, _ := c.get("")
		c.put(fmt.Sprint(i), Key{byte(i)}, age)
	}
	if len(c.keys) != 3 {
		t.Errorf("%d keys, want 3", len(c.keys))
	}
	if key, _, ok := c.get("9"); !ok || key != (Key{9}) {
		t.Error("the newest key is not there")
	}
}

func TestTheCacheRefusesAKeyFromBeforeItWasCleared(t *testing.T) {
	c := newCache(3)
	_, age, _ := c.get("customer:1")
	c.clear() // a key is destroyed while another caller looks it up
	c.put("customer:1", Key{1}, age)
	if _, _, ok := c.get("customer:1"); ok {
		t.Error("the destroyed key came back")
	}
}

func TestEveryConnectionIsDurableAndOverwritesWhatItDeletes(t *testing.T) {
	ring := openAt(t, filepath.Join(t.TempDir(), "keys.db"))
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "secure_delete": "1", "busy_timeout": "15000"} {
		var got string
		if err := ring.db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", pragma, got, err, want)
		}
	}
}
