package keyring

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/triangle-suite/triangle/services/internal/postgres"
)

// connections is how many a replica takes at most. Keys are created in batches,
// and those in use are held in memory.
const connections = 4

func openPostgres(ctx context.Context, url string) (*SQLRing, error) {
	server, err := postgres.Connect(ctx, url, "keyring")
	if err != nil {
		return nil, fmt.Errorf("key ring: %w", err)
	}
	db := server.Pool(connections, postgres.ReadWrite)
	ring, err := newSQLRing(ctx, db, engine{
		connections: connections,
		lock:        func(ctx context.Context, tx *sql.Tx) error { return server.Lock(ctx, tx, "tables") },
		scrub:       vacuum,
	})
	if err != nil {
		_ = db.Close() // the first error tells more
		return nil, fmt.Errorf("key ring: %w", postgres.Explain(err))
	}
	return ring, nil
}

// vacuum has the server give back the old version of a row.
func vacuum(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, "VACUUM keys"); err != nil {
		return fmt.Errorf("have the server give back what held the key: %w", err)
	}
	return nil
}
