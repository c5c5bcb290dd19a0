package flow

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/digest"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// onEachDatabase gives a test the runtime's tables, on each kind of database.
func onEachDatabase(t *testing.T, test func(t *testing.T, db *projection.DB)) {
	for name, database := range pgtest.Databases() {
		t.Run(name, func(t *testing.T) {
			db, err := projection.Open(t.Context(), database(t), "chains")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
			if err := db.Create(t.Context(), tables); err != nil {
				t.Fatal(err)
			}
			test(t, db)
		})
	}
}

// linkAll links ids to keys in one transaction, as an intake does.
func linkAll(t *testing.T, db *projection.DB, cp checkpoint, events func(link func(key string, id uuid.UUID))) checkpoint {
	t.Helper()
	err := db.Update(t.Context(), func(tx *projection.Tx) error {
		taking := &taking{tx: tx, cp: cp, chains: newChains(cp.flow, cp.epoch, &recentChains{})}
		var err error
		events(func(key string, id uuid.UUID) {
			if err == nil {
				err = taking.link(t.Context(), key, id)
			}
		})
		cp = taking.cp
		if err != nil {
			return err
		}
		return taking.chains.write(t.Context(), tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	return cp
}

// stored returns the chains of a flow's epoch.
func stored(t *testing.T, db *projection.DB, flow string, epoch uint64) map[string]chain {
	t.Helper()
	all := chains{known: map[string]chain{}}
	rows, err := db.Query(t.Context(), `SELECT key, chain FROM flow_chain WHERE flow = ? AND epoch = ?`, flow, epoch)
	if err == nil {
		_, err = projection.Collect(rows, func(row projection.Scanner, _ *struct{}) error { return all.scan(row) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return all.known
}

// However events fall into transactions, the chains are those that come of them
// one by one, and the digest is their sum.
func TestChainsAreTheSameHoweverEventsAreBatched(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db *projection.DB) {
		for seed := range uint64(5) {
			rng := rand.New(rand.NewPCG(seed, 0))
			cp, want := checkpoint{flow: fmt.Sprint("flow", seed), epoch: 1}, map[string]chain{}
			for range 4 {
				cp = linkAll(t, db, cp, func(link func(string, uuid.UUID)) {
					for range rng.IntN(600) {
						key, id := fmt.Sprint("key", rng.IntN(400)), uuid.New()
						link(key, id)
						want[key] = want[key].next(id)
					}
				})
			}
			got := stored(t, db, cp.flow, cp.epoch)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d: the stored chains differ (-want +got):\n%s", seed, diff)
			}
			var total digest.Sum
			for _, c := range got {
				total = total.Plus(digest.Hash(c))
			}
			if total != cp.digest {
				t.Errorf("seed %d: the chains add up to %s, and the digest is %s", seed, total, cp.digest)
			}
		}
	})
}

// The chains of the last epoch that has closed stay, as what its digest is a sum
// of; those of older ones go, of this flow alone.
func TestOldChainsAreDeletedSomeAtATime(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db *projection.DB) {
		const keys = 2*purged + 1
		for _, flow := range []string{"one", "other"} {
			for epoch := range uint64(4) {
				linkAll(t, db, checkpoint{flow: flow, epoch: epoch + 1}, func(link func(string, uuid.UUID)) {
					for i := range keys {
						link(fmt.Sprint("key", i), uuid.New())
					}
				})
			}
		}
		steps := 0
		for more := true; more; steps++ {
			var err error
			if more, err = purgeSome(context.Background(), db, checkpoint{flow: "one", epoch: 4}); err != nil {
				t.Fatal(err)
			}
		}
		if want := 2*3 + 1; steps != want { // three for each of two epochs, and one that finds nothing
			t.Errorf("it took %d steps, want %d", steps, want)
		}
		for flow, want := range map[string][]int{"one": {0, 0, keys, keys}, "other": {keys, keys, keys, keys}} {
			for i, n := range want {
				if got := len(stored(t, db, flow, uint64(i)+1)); got != n {
					t.Errorf("flow %s has %d chains of epoch %d, want %d", flow, got, i+1, n)
				}
			}
		}
	})
}

// Chains that are recent are those of the epoch and of keys that were used not
// long ago; they hold no more than two generations.
func TestRecentChainsAreBounded(t *testing.T) {
	var recent recentChains
	keep := func(epoch uint64, from, keys int) {
		c := newChains("f", epoch, &recent)
		for i := range keys {
			c.known[strconv.Itoa(from+i)] = chain{byte(epoch), 1}
		}
		recent.keep(c)
	}
	wantKnown := func(epoch uint64, key int, want bool) {
		t.Helper()
		if got, ok := recent.of(epoch, strconv.Itoa(key)); ok != want || ok && got != (chain{byte(epoch), 1}) {
			t.Errorf("the chain of key %d in epoch %d: %v, %t; want it known: %t", key, epoch, got, ok, want)
		}
	}
	keep(1, 0, 10)
	wantKnown(1, 5, true)
	wantKnown(1, 10, false)
	wantKnown(2, 5, false)
	for from := 10; from < 3*recentMax; from += 1000 {
		keep(1, from, 1000)
		if n := len(recent.young) + len(recent.old); n > 2*recentMax {
			t.Fatalf("%d chains are kept, want at most %d", n, 2*recentMax)
		}
	}
	wantKnown(1, 5, false)
	wantKnown(1, 3*recentMax-1, true)
	keep(2, 0, 10)
	wantKnown(2, 5, true)
	wantKnown(1, 3*recentMax-1, false)
	recent.forget()
	wantKnown(2, 5, false)
}
