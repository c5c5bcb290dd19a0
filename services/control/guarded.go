package control

import (
	"context"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Guarded returns the same, but before anything is written may is asked, and nothing
// is written when it fails: whoever steers flows only as long as somebody lets it,
// such as a replica that leads, says so here. Closing either closes both.
func (f *Flows) Guarded(may func() error) *Flows {
	other := *f
	other.log = guarded{f.log, may}
	return &other
}

// guarded is a log that is written to only while one may.
type guarded struct {
	eventlog.Log

	may func() error
}

// Append implements eventlog.Log.
func (g guarded) Append(ctx context.Context, stream string, expected eventlog.Expected, events ...eventlog.NewEvent) (eventlog.Appended, error) {
	if err := g.may(); err != nil {
		return eventlog.Appended{}, err
	}
	return g.Log.Append(ctx, stream, expected, events...)
}

// SetMaxCount implements eventlog.Log.
func (g guarded) SetMaxCount(ctx context.Context, stream string, n uint64) error {
	if err := g.may(); err != nil {
		return err
	}
	return g.Log.SetMaxCount(ctx, stream, n)
}
