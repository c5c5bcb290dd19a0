package serve

import (
	"sync/atomic"

	"google.golang.org/grpc/codes"
)

// Tally counts the API calls that have ended, and those of them that failed for no
// fault of who called: so few figures that a replica can tell them with each sign
// of life. The zero Tally has counted none.
type Tally struct{ calls, failed atomic.Uint64 }

// Read returns how many calls have ended, and how many of them failed.
func (t *Tally) Read() (calls, failed uint64) {
	failed = t.failed.Load() // before the calls: of a call that ends meanwhile never the failure alone
	return t.calls.Load(), failed
}

func (t *Tally) count(code codes.Code) {
	if t == nil {
		return
	}
	t.calls.Add(1)
	switch code {
	case codes.Unknown, codes.Internal, codes.Unavailable, codes.DataLoss, codes.DeadlineExceeded:
		t.failed.Add(1)
	}
}
