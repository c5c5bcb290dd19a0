package flow

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/projection"
)

// ownerTable says which replica takes in the service's flows and does its work.
// It is one row for all of them: what a service's workers know from its intakes
// is in the memory of one process.
var ownerTable = projection.Schema{Name: "flow_owner", Version: 1, Tables: []string{
	`CREATE TABLE flow_owner (role TEXT PRIMARY KEY, token TEXT NOT NULL, until BIGINT NOT NULL)`,
}}

const (
	ownerRole = "intake" // takes in the flows
	// builderRole rebuilds read models.
	builderRole = "builder"
	// defaultLease is how long an owner is believed that says no more.
	defaultLease = 5 * time.Second
)

// lease is a replica's ownership, for one term. Time is the database's, so that
// replicas need not agree on theirs.
//
//	standby ──▶ nobody's, or out of date: take ──▶ own, renew ──▶ lost, or given back
//	   ▲                                                                │
//	   └────────────────────────────────────────────────────────────────┘
//
// It decides who may take over; what keeps an owner that froze from writing is
// the token, which stands in each checkpoint: it is another one in each term.
// A database that is not shared has no other process to wait for, and whoever
// starts takes it over at once.
type lease struct {
	db     *projection.DB
	role   string
	token  string
	length time.Duration
}

func newLease(db *projection.DB, length time.Duration) lease {
	return lease{db: db, role: ownerRole, token: uuid.NewString(), length: length}
}

// renewEvery leaves room for a renewal that fails; lookEvery is how often another
// replica looks whether it is its turn.
func (l lease) renewEvery() time.Duration { return l.length / 3 }
func (l lease) lookEvery() time.Duration  { return l.length / 10 }

// free tells whether the lease may be taken. It only reads: replicas that wait
// are in nobody's way.
func (l lease) free(ctx context.Context) (bool, error) {
	if !l.db.Shared() {
		return true, nil
	}
	now, err := l.db.Clock(ctx)
	if err != nil {
		return false, err
	}
	var until int64
	err = l.db.QueryRow(ctx, `SELECT until FROM flow_owner WHERE role = ?`, l.role).Scan(&until)
	if errors.Is(err, sql.ErrNoRows) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look who owns the flows: %w", err)
	}
	return until <= now.UnixNano(), nil
}

// take takes the lease, unless another replica was quicker.
func (l lease) take(ctx context.Context) (taken bool, err error) {
	from := whoeverIsLate
	if !l.db.Shared() {
		from = whoever // it is nobody else's, whatever it says
	}
	err = l.db.UpdateQuietly(ctx, func(tx *projection.Tx) (err error) {
		taken, err = l.takeFrom(ctx, tx, from)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("take over the flows: %w", err)
	}
	return taken, nil
}

// holder is whom a lease may be taken from.
type holder int

const (
	whoeverIsLate holder = iota // and from nobody
	whoever
)

// takeFrom takes the lease in a transaction, if it may.
func (l lease) takeFrom(ctx context.Context, tx *projection.Tx, from holder) (taken bool, err error) {
	now, err := tx.Clock(ctx)
	if err != nil {
		return false, err
	}
	outdated := now.UnixNano()
	if from == whoever {
		outdated = math.MaxInt64
	}
	result, err := tx.Exec(ctx, `INSERT INTO flow_owner (role, token, until) VALUES (?,?,?)
		ON CONFLICT (role) DO UPDATE SET token = excluded.token, until = excluded.until WHERE flow_owner.until <= ?`,
		l.role, l.token, now.Add(l.length).UnixNano(), outdated)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// renew says that the owner is there. It fails with errFenced when there is
// another one.
func (l lease) renew(ctx context.Context) error {
	return l.db.UpdateQuietly(ctx, func(tx *projection.Tx) error {
		now, err := tx.Clock(ctx)
		if err != nil {
			return err
		}
		result, err := tx.Exec(ctx, `UPDATE flow_owner SET until = ? WHERE role = ? AND token = ?`,
			now.Add(l.length).UnixNano(), l.role, l.token)
		return wantOne(result, err)
	})
}

// confirm fails with errFenced unless the lease is held, and keeps it from being
// taken until the transaction ends.
func (l lease) confirm(ctx context.Context, tx *projection.Tx) error {
	result, err := tx.Exec(ctx, `UPDATE flow_owner SET token = ? WHERE role = ? AND token = ?`, l.token, l.role, l.token)
	return wantOne(result, err)
}

// wantOne is errFenced when a statement about what is owned met no row.
func wantOne(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(errFenced, err)
	}
	return nil
}

// giveBack lets another replica take over at once.
func (l lease) giveBack(ctx context.Context) error {
	return l.db.UpdateQuietly(ctx, func(tx *projection.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM flow_owner WHERE role = ? AND token = ?`, l.role, l.token)
		return err
	})
}

// hold renews the lease until ctx ends. It returns an error when it is lost: when
// another replica has it, or when it could not be renewed for as long as it
// lasts. Where nobody else can take it there is nothing to renew.
func (l lease) hold(ctx context.Context) error {
	if !l.db.Shared() {
		<-ctx.Done()
		return nil
	}
	renewed := time.Now()
	for {
		if !sleep(ctx, l.renewEvery()) {
			return nil
		}
		at := time.Now()
		trying, cancel := context.WithTimeout(ctx, l.renewEvery())
		err := l.renew(trying)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it ended because it was told to
		case err == nil:
			renewed = at
		case errors.Is(err, errFenced):
			return err
		case time.Since(renewed) >= l.length:
			return fmt.Errorf("%w: the lease could not be renewed: %w", errFenced, err)
		}
	}
}
