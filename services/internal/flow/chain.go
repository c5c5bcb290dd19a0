package flow

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/projection"
)

// chains are those of the keys that a transaction links events to, all of one
// epoch. Each is read once, when it is first needed, and written once, at the
// end: a key with a hundred events in a window costs one row.
type chains struct {
	flow   string
	epoch  uint64
	known  map[string]chain
	recent *recentChains // those that need not be read
}

func newChains(flow string, epoch uint64, recent *recentChains) chains {
	return chains{flow: flow, epoch: epoch, known: map[string]chain{}, recent: recent}
}

// chunks are how many keys a statement looks up. They are few, so that each
// statement is prepared once.
var chunks = []int{1, 4, 16, 64, 256}

// inChunks hands out all in parts as long as one of chunks. The last part is
// filled up with what it ends with: to look a key up again costs little, and each
// statement that a server is sent is a way there and back.
func inChunks[T any](all []T, do func([]T) error) error {
	most := chunks[len(chunks)-1]
	for part := range slices.Chunk(all, most) {
		i, _ := slices.BinarySearch(chunks, len(part))
		part = slices.Concat(part, slices.Repeat(part[len(part)-1:], chunks[i]-len(part)))
		if err := do(part); err != nil {
			return err
		}
	}
	return nil
}

// load reads the chains of keys that are not known yet.
func (c chains) load(ctx context.Context, tx *projection.Tx, keys ...string) error {
	missing := make([]string, 0, len(keys))
	for _, key := range keys {
		if _, ok := c.known[key]; ok {
			continue
		}
		recent, ok := c.recent.of(c.epoch, key)
		if !ok {
			missing = append(missing, key)
		}
		c.known[key] = recent
	}
	return inChunks(missing, func(keys []string) error {
		args := []any{c.flow, c.epoch}
		for _, key := range keys {
			args = append(args, key)
		}
		// One look-up for each key: whatever the database knows of a table that was
		// empty when the statement was planned, it is done by the primary key.
		rows, err := tx.Query(ctx, `SELECT column1, (SELECT chain FROM flow_chain WHERE flow = ? AND epoch = ? AND key = column1)
			FROM (VALUES (?)`+strings.Repeat(`,(?)`, len(keys)-1)+`) AS keys`, args...)
		if err == nil {
			_, err = projection.Collect(rows, func(row projection.Scanner, _ *struct{}) error { return c.scan(row) })
		}
		if err != nil {
			return fmt.Errorf("read the chains of keys: %w", err)
		}
		return nil
	})
}

func (c chains) scan(row projection.Scanner) error {
	var key string
	var raw []byte
	if err := row.Scan(&key, &raw); err != nil {
		return err
	}
	if raw == nil {
		return nil // it begins
	}
	if len(raw) != len(chain{}) {
		return fmt.Errorf("the chain of key %q has %d bytes", key, len(raw))
	}
	c.known[key] = chain(raw)
	return nil
}

// write writes all that are known, in the order of their keys: the database
// finds their places side by side.
func (c chains) write(ctx context.Context, tx *projection.Tx) error {
	args := make([]any, 0, 4*len(c.known))
	for _, key := range slices.Sorted(maps.Keys(c.known)) {
		link := c.known[key]
		args = append(args, c.flow, c.epoch, key, link[:])
	}
	err := tx.WriteRows(ctx, `INSERT INTO flow_chain (flow, epoch, key, chain) VALUES `, 4,
		` ON CONFLICT (flow, epoch, key) DO UPDATE SET chain = excluded.chain`, args)
	if err != nil {
		return fmt.Errorf("write the chains of keys: %w", err)
	}
	return nil
}

// link adds an event to its key's chain and to the digest.
func (t *taking) link(ctx context.Context, key string, id uuid.UUID) error {
	if err := t.chains.load(ctx, t.tx, key); err != nil {
		return err
	}
	old := t.chains.known[key]
	next := old.next(id)
	t.chains.known[key] = next
	t.cp.digest = replace(t.cp.digest, old, next)
	t.cp.taken++
	t.cp.window++
	return nil
}

// purged is how many chains one transaction deletes.
const purged = 1000

// purgeChains deletes the chains of epochs before the last one that closed, some
// at a time: there may be millions, and others want to write meanwhile. Those of
// the last one stay, as what its digest is a sum of.
func (rt *Runtime) purgeChains(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(rt.intakes)) {
		cp, _, err := loadCheckpoint(ctx, rt.DB, name)
		for more := true; more && err == nil; {
			more, err = purgeSome(ctx, rt.DB, cp)
		}
		if err != nil {
			return fmt.Errorf("delete old chains of %s: %w", name, err)
		}
	}
	return nil
}

// purgeSome deletes chains of the oldest epoch, unless it is too young.
func purgeSome(ctx context.Context, db *projection.DB, cp checkpoint) (more bool, err error) {
	var epoch sql.Null[uint64]
	if err := db.QueryRow(ctx, `SELECT min(epoch) FROM flow_chain WHERE flow = ?`, cp.flow).Scan(&epoch); err != nil {
		return false, err
	}
	if !epoch.Valid || epoch.V+1 >= cp.epoch {
		return false, nil
	}
	var last string // of those that are deleted now
	err = db.QueryRow(ctx, `SELECT max(key) FROM (SELECT key FROM flow_chain WHERE flow = ? AND epoch = ? ORDER BY key LIMIT ?) AS oldest`,
		cp.flow, epoch.V, purged).Scan(&last)
	if err != nil {
		return false, err
	}
	return true, db.UpdateQuietly(ctx, func(tx *projection.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM flow_chain WHERE flow = ? AND epoch = ? AND key <= ?`, cp.flow, epoch.V, last)
		return err
	})
}
