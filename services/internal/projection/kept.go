package projection

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
)

// mostKept is how many statements are kept: several times those that stand in
// code. There is no end to those that are put together from what a caller says.
const mostKept = 1000

// kept keeps what statements come to, by what they say.
type kept[T any] struct {
	all sync.Map
	n   atomic.Int64
}

func (k *kept[T]) get(statement string) (value T, ok bool) {
	known, ok := k.all.Load(statement)
	if ok {
		value = known.(T) //nolint:errcheck,forcetypeassert // nothing else is stored
	}
	return value, ok
}

// room tells whether another one is kept.
func (k *kept[T]) room() bool { return k.n.Load() < mostKept }

// keep returns what is kept from now on, which may be what somebody else kept just
// before. Ask for room first.
func (k *kept[T]) keep(statement string, value T) T {
	known, was := k.all.LoadOrStore(statement, value)
	if !was {
		k.n.Add(1)
	}
	return known.(T) //nolint:errcheck,forcetypeassert // nothing else is stored
}

// compiled are statements that are kept compiled.
type compiled struct{ kept[*sql.Stmt] }

// compile compiles a statement and keeps it. It returns nil when it can't be
// compiled, or is one too many.
func (c *compiled) compile(ctx context.Context, on *sql.DB, statement string) *sql.Stmt {
	if !c.room() {
		return nil
	}
	made, err := on.PrepareContext(ctx, statement)
	if err != nil {
		return nil
	}
	known := c.keep(statement, made)
	if known != made {
		_ = made.Close() //nolint:sqlclosecheck // another call was as quick; the other one is used
	}
	return known
}
