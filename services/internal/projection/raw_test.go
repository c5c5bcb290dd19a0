package projection

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
	"testing"
)

// broken is a driver whose connections begin transactions, and are broken when they
// are to take them back.
type broken struct{ driver.Conn }

func (broken) Connect(context.Context) (driver.Conn, error)                 { return broken{}, nil }
func (broken) Driver() driver.Driver                                        { return nil }
func (broken) Close() error                                                 { return nil }
func (broken) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) { return broken{}, nil }
func (broken) Commit() error                                                { return nil }
func (broken) Rollback() error                                              { return driver.ErrBadConn }

// A transaction is taken back at whatever moment of a use of its connection.
func TestAConnectionThatIsGivenUpUnderOnesHandsFails(t *testing.T) {
	db := sql.OpenDB(broken{})
	defer func() { _ = db.Close() }()
	for range 5_000 {
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := conn.BeginTx(ctx, nil); err != nil {
			t.Fatal(err)
		}
		var ending sync.WaitGroup
		ending.Go(cancel)
		for err = nil; err == nil; {
			err = raw(conn, func(any) error { return nil })
		}
		if !errors.Is(err, sql.ErrTxDone) && !errors.Is(err, sql.ErrConnDone) {
			t.Fatal(err)
		}
		ending.Wait()
	}
}
