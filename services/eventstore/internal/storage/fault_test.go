package storage

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

// fullDisk is a disk that has no space left from its limit-th write on.
type fullDisk struct {
	writes atomic.Int64
	limit  int64
}

func (d *fullDisk) String() string { return "full disk" }

// MaybeError implements errorfs.Injector.
func (d *fullDisk) MaybeError(op errorfs.Op) error {
	if op.Path == crashFolder+"/"+indexFolder {
		return nil // pebble ends the process when a folder can't be synced
	}
	switch op.Kind {
	case errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFileSync, errorfs.OpFileSyncData,
		errorfs.OpFileSyncTo, errorfs.OpReuseForWrite, errorfs.OpMkdirAll, errorfs.OpRename:
		if d.writes.Add(1) > d.limit {
			return syscall.ENOSPC
		}
	}
	return nil
}

const faultAppends = 40

// fillUp appends until the disk is full; it returns what was acknowledged, and
// whether the disk never filled up.
func fillUp(t *testing.T, fs vfs.FS) (acked []acknowledged, ended bool) {
	t.Helper()
	store, err := Open(crashFolder, Options{FS: fs})
	if err != nil {
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("opening failed with %v, want %v", err, syscall.ENOSPC)
		}
		return nil, false
	}
	defer store.Close() //nolint:errcheck // it failed already, or nothing is left to lose
	for i := range int64(faultAppends) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		id := uuid.New()
		_, err := store.Append(ctx, "s0", stream.Expected(i-1), []NewEvent{{ID: id, Type: "x", Data: make([]byte, 2000)}})
		cancel()
		if err != nil {
			if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.ENOSPC) || store.Err() == nil {
				t.Fatalf("append %d failed with %v, want %v", i, err, ErrFailed)
			}
			return acked, false
		}
		acked = append(acked, acknowledged{"s0", i, id})
	}
	return acked, true
}

// The memory table is large enough that the log is never changed for another
// one: pebble ends the process when that fails, which loses nothing either, but
// no test in the same process can look at it.
func TestFullDiskLosesNothingAcknowledged(t *testing.T) {
	for limit := int64(0); ; limit++ {
		disk := vfs.NewCrashableMem()
		acked, ended := fillUp(t, errorfs.Wrap(disk, &fullDisk{limit: limit}))
		c := &crash{after: disk.CrashClone(vfs.CrashCloneCfg{}), atCut: acked}
		missing, err := c.lost()
		if err != nil {
			t.Fatalf("after %d writes: %v", limit, err)
		}
		if len(missing) > 0 {
			t.Fatalf("after %d writes: %d of %d acknowledged events are lost, the first: %+v", limit, len(missing), len(acked), missing[0])
		}
		if ended {
			t.Logf("%d places to fill up", limit)
			return
		}
	}
}
