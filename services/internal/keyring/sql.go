package keyring

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// The SQL is what SQLite and PostgreSQL have in common.
const (
	createRing = `CREATE TABLE IF NOT EXISTS ring (
		name  TEXT PRIMARY KEY,
		value TEXT NOT NULL
	)`
	createKeys = `CREATE TABLE IF NOT EXISTS keys (
		subject      TEXT PRIMARY KEY,
		secret       TEXT NOT NULL, -- hexadecimal; empty when destroyed
		created_at   TEXT NOT NULL,
		destroyed_at TEXT NOT NULL DEFAULT '',
		destroyed_by TEXT NOT NULL DEFAULT '',
		reason       TEXT NOT NULL DEFAULT ''
	)`
	insertRing  = `INSERT INTO ring (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`
	selectRing  = `SELECT value FROM ring WHERE name = $1`
	countOne    = `UPDATE ring SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE name = $1`
	insertKey   = `INSERT INTO keys (subject, secret, created_at) VALUES ($1, $2, $3) ON CONFLICT (subject) DO NOTHING`
	selectKey   = `SELECT secret FROM keys WHERE subject = $1`
	destroyKey  = `UPDATE keys SET secret = '', destroyed_at = $2, destroyed_by = $3, reason = $4 WHERE subject = $1 AND destroyed_at = ''`
	selectGrave = `SELECT destroyed_at, destroyed_by, reason FROM keys WHERE subject = $1 AND destroyed_at <> ''`
)

// Rows of the table ring.
const (
	pepperRow       = "pepper"
	destructionsRow = "destructions" // how many keys were ever destroyed
)

// trust is how long a process goes on with the keys that it holds before it asks
// whether another process has destroyed any.
const trust = time.Second

// engine is what a database does in a way of its own.
type engine struct {
	connections int
	lock        func(context.Context, *sql.Tx) error // held while tables are made
	scrub       func(context.Context, *sql.DB) error // removes what a destruction left behind
}

// SQLRing is a key ring in a database. Use Open.
//
// A process holds keys in memory, and asks once a second whether any key was
// destroyed since: that is how long an erasure can take to reach the other
// processes.
type SQLRing struct {
	db     *sql.DB
	engine engine
	pepper Key
	cache  *cache
	now    func() time.Time

	checking     chan struct{} // holds a value while nobody checks
	checked      atomic.Int64  // when, by now
	destructions string        // as last seen; owned by who checks

	committer committer
}

var _ Ring = (*SQLRing)(nil)

func newSQLRing(ctx context.Context, db *sql.DB, engine engine) (*SQLRing, error) {
	db.SetMaxOpenConns(engine.connections)
	r := &SQLRing{db: db, engine: engine, cache: newCache(cacheSize), now: time.Now, checking: make(chan struct{}, 1)}
	r.checking <- struct{}{}
	r.committer.commit = r.createAll
	if err := r.initialise(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// initialise makes the tables and the pepper where they are not there yet.
func (r *SQLRing) initialise(ctx context.Context) error {
	return r.transact(ctx, func(tx *sql.Tx) error {
		if err := r.engine.lock(ctx, tx); err != nil {
			return err
		}
		for _, statement := range []string{createRing, createKeys} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("make the tables: %w", err)
			}
		}
		for name, value := range map[string]string{pepperRow: encodeKey(newKey()), destructionsRow: "0"} {
			if _, err := tx.ExecContext(ctx, insertRing, name, value); err != nil {
				return fmt.Errorf("write %s: %w", name, err)
			}
		}
		var pepper string
		if err := tx.QueryRowContext(ctx, selectRing, pepperRow).Scan(&pepper); err != nil {
			return fmt.Errorf("read the pepper: %w", err)
		}
		var err error
		r.pepper, err = decodeKey(pepper)
		return err
	})
}

// Key implements Ring.
func (r *SQLRing) Key(ctx context.Context, subject string) (Key, error) {
	key, err := r.Existing(ctx, subject)
	if !errors.Is(err, ErrUnknownKey) {
		return key, err
	}
	_, age, _ := r.cache.get(subject)
	key, err = r.committer.create(ctx, subject)
	if err != nil {
		return Key{}, fmt.Errorf("create the key of %s: %w", subject, err)
	}
	r.cache.put(subject, key, age)
	return key, nil
}

// Existing implements Ring.
func (r *SQLRing) Existing(ctx context.Context, subject string) (Key, error) {
	if subject == "" {
		return Key{}, errNoSubject
	}
	if err := r.check(ctx); err != nil {
		return Key{}, fmt.Errorf("look for destroyed keys: %w", err)
	}
	key, age, ok := r.cache.get(subject)
	if ok {
		return key, nil
	}
	key, err := selectOne(ctx, r.db, subject)
	if err != nil {
		return Key{}, fmt.Errorf("find the key of %s: %w", subject, err)
	}
	r.cache.put(subject, key, age)
	return key, nil
}

// check drops the keys in memory when any process has destroyed a key since the
// last check. Whoever comes while a check is due waits for it.
func (r *SQLRing) check(ctx context.Context) error {
	if r.isFresh() {
		return nil
	}
	select {
	case <-r.checking:
		defer func() { r.checking <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if r.isFresh() {
		return nil
	}
	at := r.now()
	var destructions string
	if err := r.db.QueryRowContext(ctx, selectRing, destructionsRow).Scan(&destructions); err != nil {
		return err
	}
	if destructions != r.destructions {
		r.cache.clear()
		r.destructions = destructions
	}
	r.checked.Store(at.UnixNano())
	return nil
}

func (r *SQLRing) isFresh() bool {
	age := r.now().UnixNano() - r.checked.Load()
	return age >= 0 && age < int64(trust) // below 0: the clock was set back
}

// createAll finds or creates the keys of subjects in one transaction. A subject
// that is erased is left out.
func (r *SQLRing) createAll(ctx context.Context, subjects []string) (map[string]Key, error) {
	subjects = slices.Compact(slices.Sorted(slices.Values(subjects))) // one order for all writers: no deadlock
	keys := make(map[string]Key, len(subjects))
	err := r.transact(ctx, func(tx *sql.Tx) error {
		for _, subject := range subjects {
			if _, err := tx.ExecContext(ctx, insertKey, subject, encodeKey(newKey()), r.timestamp()); err != nil {
				return err
			}
			key, err := selectOne(ctx, tx, subject)
			switch {
			case errors.Is(err, ErrDestroyed):
				continue
			case err != nil:
				return err
			}
			keys[subject] = key
		}
		return nil
	})
	return keys, err
}

// Destroy implements Ring. It returns nil when the database has given back what
// held the key, see Open; an error leaves it to be called again.
func (r *SQLRing) Destroy(ctx context.Context, subject string, erasure Erasure) error {
	if err := r.bury(ctx, subject, erasure); err != nil {
		return fmt.Errorf("destroy the key of %s: %w", subject, err)
	}
	r.cache.clear()
	if err := r.engine.scrub(ctx, r.db); err != nil {
		return fmt.Errorf("destroy the key of %s: %w", subject, err)
	}
	return nil
}

func (r *SQLRing) bury(ctx context.Context, subject string, erasure Erasure) error {
	return r.transact(ctx, func(tx *sql.Tx) error {
		_, err := selectOne(ctx, tx, subject)
		switch {
		case errors.Is(err, ErrDestroyed):
			return nil
		case err != nil:
			return err
		}
		done, err := tx.ExecContext(ctx, destroyKey, subject, r.timestamp(), erasure.By, erasure.Reason)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return err // another process has destroyed it meanwhile
		}
		_, err = tx.ExecContext(ctx, countOne, destructionsRow)
		return err
	})
}

// Erasure returns a subject's tombstone; ok is false when there is none.
func (r *SQLRing) Erasure(ctx context.Context, subject string) (erasure Erasure, at time.Time, ok bool, err error) {
	var text string
	err = r.db.QueryRowContext(ctx, selectGrave, subject).Scan(&text, &erasure.By, &erasure.Reason)
	if errors.Is(err, sql.ErrNoRows) {
		return Erasure{}, time.Time{}, false, nil
	}
	if err != nil {
		return Erasure{}, time.Time{}, false, fmt.Errorf("find the tombstone of %s: %w", subject, err)
	}
	at, err = time.Parse(time.RFC3339Nano, text)
	return erasure, at, err == nil, err
}

// Hash implements Ring.
func (r *SQLRing) Hash(kind, value string) string { return hash(r.pepper, kind, value) }

// Close waits for the keys under way and closes the database.
func (r *SQLRing) Close() error {
	r.committer.close()
	r.cache.clear()
	return r.db.Close()
}

func (r *SQLRing) timestamp() string { return r.now().UTC().Format(time.RFC3339Nano) }

func (r *SQLRing) transact(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		if undo := tx.Rollback(); !errors.Is(undo, sql.ErrTxDone) { // done: the context's end has rolled it back
			err = errors.Join(err, undo)
		}
		return err
	}
	return tx.Commit()
}

// querier is a *sql.DB or a *sql.Tx.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func selectOne(ctx context.Context, from querier, subject string) (Key, error) {
	var secret string
	err := from.QueryRowContext(ctx, selectKey, subject).Scan(&secret)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Key{}, ErrUnknownKey
	case err != nil:
		return Key{}, err
	case secret == "":
		return Key{}, ErrDestroyed
	}
	return decodeKey(secret)
}
