package projection

import (
	"context"
	"fmt"
)

// Attempt runs a change that may fail alone: what it has written is then taken
// back, and the transaction goes on. Its error is change's own; when it could not
// be taken back it is another one, and the transaction must not go on.
func (tx *Tx) Attempt(ctx context.Context, change func() error) error {
	if _, err := tx.Exec(ctx, `SAVEPOINT attempt`); err != nil {
		return fmt.Errorf("begin an attempt: %w", err)
	}
	err := change()
	if err == nil {
		err = tx.send(ctx)
	}
	if err != nil {
		tx.pending = nil // it was written since the attempt began
		if _, back := tx.Exec(ctx, `ROLLBACK TO SAVEPOINT attempt`); back != nil {
			// err is told and not wrapped: it no longer stands for what happened.
			return fmt.Errorf("take back an attempt that failed (%s): %w", err.Error(), back)
		}
		if end := tx.endAttempt(ctx); end != nil {
			return end
		}
		return err
	}
	return tx.endAttempt(ctx)
}

func (tx *Tx) endAttempt(ctx context.Context) error {
	if _, err := tx.Exec(ctx, `RELEASE SAVEPOINT attempt`); err != nil {
		return fmt.Errorf("end an attempt: %w", err)
	}
	return nil
}
