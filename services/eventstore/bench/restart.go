package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/sidebyside"
	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
)

const (
	// childAppends are what a child has acknowledged before it may be ended.
	childAppends = 2000
	// A store to restart is filled by so many writers, so many events at once.
	fillWriters, fillEvents = 32, 10
)

// end is how a store ends before it is opened again.
type end string

// The ends of a store.
const (
	killed  end = "killed"
	orderly end = "orderly end"
)

// measureRestart compares how long a store takes to open when the process that
// appended to it was killed by SIGKILL, and when it ended in order. Each has a
// store of its own, a copy of the same: how long one takes may rest on what was
// done to the store before. Each round adds some thousand events.
func measureRestart(ctx context.Context, b *bench, tell func(sidebyside.Measure) error) error {
	m := sidebyside.Measure{Name: "Restart, with writers at work until the end", Unit: "ms until the first read"}
	for _, size := range b.Sizes {
		one, other, err := b.storesAlike(ctx, size)
		if err != nil {
			return err
		}
		m.Contenders = append(m.Contenders, restarting(one, size, killed), restarting(other, size, orderly))
		m.Pairs = append(m.Pairs, sidebyside.Pair{Of: restartName(size, killed), To: restartName(size, orderly), Goal: sidebyside.Goal{AtMost: 1.5}})
	}
	for _, size := range b.Sizes[1:] { // it does not grow with the size
		m.Pairs = append(m.Pairs, sidebyside.Pair{Of: restartName(size, killed), To: restartName(b.Sizes[0], killed), Goal: sidebyside.Goal{AtMost: 1.5}})
	}
	return tell(m)
}

func restartName(size int, how end) string { return fmt.Sprintf("%d events, %s", size, how) }

func restarting(dir string, size int, how end) sidebyside.Contender {
	return sidebyside.Contender{Name: restartName(size, how), Sync: syncStore, Run: func(ctx context.Context) (float64, error) {
		took, err := restart(ctx, dir, how)
		return took.Seconds() * 1000, err
	}}
}

// storesAlike makes two stores that hold the same events.
func (b *bench) storesAlike(ctx context.Context, events int) (one, other string, err error) {
	if one, err = b.folder("store"); err != nil {
		return "", "", err
	}
	if err := fill(ctx, one, events); err != nil {
		return "", "", err
	}
	if other, err = b.folder("store"); err != nil {
		return "", "", err
	}
	if err := os.CopyFS(other, os.DirFS(one)); err != nil {
		return "", "", fmt.Errorf("copy the store: %w", err)
	}
	return one, other, nil
}

// fill makes a store in folder dir that holds so many events.
func fill(ctx context.Context, dir string, events int) (err error) {
	store, err := storage.Open(dir, storage.Options{IDCache: idCache})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	appendSome := storeAppend(store, "fill", fillWriters, fillEvents)
	var left atomic.Int64
	left.Store(int64(events))
	group, ctx := errgroup.WithContext(ctx)
	for writer := range fillWriters {
		group.Go(func() error {
			for left.Add(-fillEvents) > -fillEvents {
				if err := appendSome(ctx, writer); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// restart has a process append to the store, ends it, and returns how long the
// store then takes to open.
func restart(ctx context.Context, dir string, how end) (time.Duration, error) {
	acknowledged, err := runChild(ctx, dir, how)
	if err != nil {
		return 0, err
	}
	runtime.GC() // of what came before, so that it does not run meanwhile
	start := time.Now()
	store, err := storage.Open(dir, storage.Options{IDCache: idCache})
	if err != nil {
		return 0, err
	}
	last, err := lastPosition(store)
	took := time.Since(start)
	if err == nil && last < acknowledged {
		err = fmt.Errorf("position %d was acknowledged, but the last one after the restart is %d", acknowledged, last)
	}
	return took, errors.Join(err, store.Close())
}

func lastPosition(store *storage.Store) (uint64, error) {
	view, err := store.View()
	if err != nil {
		return 0, err
	}
	defer view.Release()
	return view.Last(), nil
}

// runChild runs the process that appends, and ends it when it has acknowledged
// some appends. It returns the last position that was acknowledged by then.
func runChild(ctx context.Context, dir string, how end) (acknowledged uint64, err error) {
	appender, said, err := startChild(ctx, roleAppender, os.Stderr, childData+"="+dir)
	if err != nil {
		return 0, err
	}
	if how == killed {
		err = appender.kill()
	} else {
		err = appender.end()
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(said)), 10, 64)
}

// appendUntilKilled appends to the store in dir, says the last position on stdout once
// some appends are acknowledged, and goes on until ctx ends.
func appendUntilKilled(ctx context.Context, dir string, stdout io.Writer) (err error) {
	store, err := storage.Open(dir, storage.Options{IDCache: idCache})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	appendOne := storeAppend(store, fmt.Sprintf("child%d-", os.Getpid()), manyWriters, 1)
	var appends atomic.Int64
	group, groupCtx := errgroup.WithContext(ctx)
	for writer := range manyWriters {
		group.Go(func() error {
			for groupCtx.Err() == nil {
				if err := appendOne(context.Background(), writer); err != nil {
					return err
				}
				if appends.Add(1) == childAppends {
					if err := sayLast(store, stdout); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func sayLast(store *storage.Store, stdout io.Writer) error {
	last, err := lastPosition(store)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, last)
	return err
}
