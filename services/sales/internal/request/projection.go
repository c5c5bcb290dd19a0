package request

import (
	"context"
	"fmt"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/erasure"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Types are the events that Project takes in.
var Types = []string{"sales.RequestOpened", "sales.RequestStatusChanged"}

// Tables hold where each request stands, in the order in which they were opened:
// seq is the place of that event in the log.
// The visitors' words are not in them: erasure destroys keys, and not rows.
var Tables = []string{
	`CREATE TABLE request (
		request_id TEXT PRIMARY KEY, seq BIGINT NOT NULL, customer_id TEXT NOT NULL, contact_id TEXT NOT NULL,
		kind BIGINT NOT NULL, status BIGINT NOT NULL, detail TEXT NOT NULL, with_back_office BIGINT NOT NULL)`,
	`CREATE INDEX request_seq ON request (seq)`,
	`CREATE INDEX request_customer ON request (customer_id, seq)`,
	`CREATE INDEX request_waiting ON request (status, with_back_office, seq)`,
}

// Project keeps the tables.
func Project(ctx context.Context, tx *projection.Tx, event codec.Event) error {
	var err error
	switch e := event.Message.(type) {
	case *salesv1.RequestOpened:
		err = tx.Write(ctx, `INSERT INTO request (request_id, seq, customer_id, contact_id, kind, status, detail, with_back_office)
			VALUES (?, ?, ?, ?, ?, ?, '', 0)`,
			e.GetRequestId(), event.Position.Commit, e.GetCustomerId(), e.GetContactId(), int32(e.GetKind()), int32(statusOpen))
	case *salesv1.RequestStatusChanged:
		// A request that is in progress, and again so, is with the back office.
		err = tx.Write(ctx, `UPDATE request SET
				with_back_office = CASE WHEN status = ? THEN ? ELSE 0 END, status = ?, detail = ?
			WHERE request_id = ?`,
			int32(statusInProgress), boolean(e.GetStatus() == statusInProgress), int32(e.GetStatus()), e.GetDetail(), e.GetRequestId())
	}
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	return nil
}

// Contacts returns the contacts in which a customer asked for something.
var Contacts = erasure.ContactsIn("request")

// boolean is how the tables hold a truth.
func boolean(is bool) int32 {
	if is {
		return 1
	}
	return 0
}
