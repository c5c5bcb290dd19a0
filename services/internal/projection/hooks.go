package projection

import "context"

// Hooks stand around each transaction that writes. They are for tests, which see
// and break a transaction there. A nil hook is none.
type Hooks struct {
	// Begin runs before the transaction begins; when it fails there is none.
	Begin func(ctx context.Context) error
	// Commit runs before the transaction is committed; when it fails, the
	// transaction is rolled back.
	Commit func(ctx context.Context) error
	// Committed runs after it was committed; when it fails, what was committed
	// stands, and nobody is told so.
	Committed func(ctx context.Context) error
	// Ended runs when the transaction that began is over, one way or the other.
	Ended func(ctx context.Context)
}

// Hook sets the hooks. It is called before the database is used.
func (db *DB) Hook(hooks Hooks) { db.hooks = hooks }

func passed(ctx context.Context, hook func(context.Context) error) error {
	if hook == nil {
		return nil
	}
	return hook(ctx)
}

func (h Hooks) ended(ctx context.Context) {
	if h.Ended != nil {
		h.Ended(ctx)
	}
}
