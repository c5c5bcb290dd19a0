package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/peer"
	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/sidebyside"
)

// bench is what measures share. Whatever a measure opens, it gives to onClose.
type bench struct {
	flags
	dir      string // where all of them keep their data
	postgres string // the folder of PostgreSQL's programs, "" when it is not installed
	stderr   io.Writer
	closers  []func() error
}

// A measure sets contenders up and hands each table that they are compared in
// to tell. It belongs to a group, by which several are named at once.
type measure struct {
	name  string
	group string
	run   func(ctx context.Context, b *bench, tell func(sidebyside.Measure) error) error
}

const (
	ofStore    = "store"
	ofFlows    = "flows"
	ofContacts = "contacts"
)

var measures = []measure{
	{"process", ofStore, measureProcess},
	{"client", ofStore, measureClient},
	{"catchup", ofStore, measureCatchUp},
	{"stalled", ofStore, measureStalled},
	{"restart", ofStore, measureRestart},
	{"scan", ofFlows, measureScan},
	{"window", ofFlows, measureWindow},
	{"rebuild", ofFlows, measureRebuild},
	{"cutover", ofFlows, measureCutOver},
	{"blocked", ofFlows, measureConsumers},
	{"growth", ofFlows, measureGrowth},
	{"contact", ofContacts, measureContacts},
	{"tracing", ofContacts, measureTracing},
}

func measureNames() (names []string) {
	for _, m := range measures {
		names = append(names, m.name)
	}
	return names
}

// measuresNamed returns those of a name, or of the group of that name.
func measuresNamed(name string) (named []measure) {
	for _, m := range measures {
		if m.name == name || m.group == name {
			named = append(named, m)
		}
	}
	return named
}

// all runs the measures that were asked for and writes each table as soon as
// it is there.
func (b *bench) all(ctx context.Context, stdout io.Writer) (results []sidebyside.Result, err error) {
	tell := func(m sidebyside.Measure) error {
		result, err := m.Run(ctx, b.Rounds)
		if err != nil {
			return err
		}
		results = append(results, result)
		return result.Write(stdout)
	}
	for _, name := range b.Measures {
		for _, m := range measuresNamed(name) {
			opened := len(b.closers)
			if err := errors.Join(m.run(ctx, b, tell), b.close(opened)); err != nil {
				return nil, fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	return results, nil
}

func (b *bench) onClose(closer func() error) { b.closers = append(b.closers, closer) }

// close closes what was opened since there were so many things open, the last
// first.
func (b *bench) close(opened int) (err error) {
	for len(b.closers) > opened {
		last := len(b.closers) - 1
		err = errors.Join(err, b.closers[last]())
		b.closers = b.closers[:last]
	}
	return err
}

// folder makes a folder, which goes when the measure ends.
func (b *bench) folder(name string) (string, error) {
	dir, err := os.MkdirTemp(b.dir, name+"-")
	if err != nil {
		return "", err
	}
	b.onClose(func() error { return os.RemoveAll(dir) })
	return dir, nil
}

// startPostgres starts a PostgreSQL, or says why there is none.
func (b *bench) startPostgres(ctx context.Context) (server *peer.Postgres, absent string, err error) {
	if b.postgres == "" {
		return nil, "not installed", nil
	}
	dir, err := b.folder("pg")
	if err != nil {
		return nil, "", err
	}
	server, err = peer.StartPostgres(ctx, b.postgres, dir)
	if err != nil {
		fmt.Fprintln(b.stderr, "bench: go on without PostgreSQL:", err)
		return nil, "does not start", nil
	}
	b.onClose(server.Close)
	return server, "", nil
}

// watermill starts a PostgreSQL with watermill-sql on it, or says why there is
// none.
func (b *bench) watermill(ctx context.Context, connections int) (w *peer.Watermill, absent string, err error) {
	server, absent, err := b.startPostgres(ctx)
	if err != nil || absent != "" {
		return nil, absent, err
	}
	w, err = peer.OpenWatermill(ctx, server, connections)
	if err != nil {
		return nil, "", err
	}
	b.onClose(w.Close)
	return w, "", nil
}

// appender is a contender that appends for many writers at once.
type appender struct {
	name   string
	sync   string
	absent string
	events int // of one append
	append func(ctx context.Context, writer int) error
}

// contender lets so many writers append for a slice.
func (b *bench) contender(a appender, writers int) sidebyside.Contender {
	return sidebyside.Contender{Name: a.name, Sync: a.sync, Absent: a.absent, Run: func(ctx context.Context) (float64, error) {
		appends, took, err := appendFor(ctx, b.Slice, writers, a.append)
		return float64(appends*a.events) / took.Seconds(), err
	}}
}

// appendFor has writers append until a slice is over, each once at least, and
// returns how many appends that were and how long they took: the last ones end
// late.
func appendFor(ctx context.Context, slice time.Duration, writers int, appendOne func(ctx context.Context, writer int) error) (appends int, took time.Duration, err error) {
	var done atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for writer := range writers {
		group.Go(func() error {
			n := int64(0)
			defer func() { done.Add(n) }()
			for n == 0 || time.Since(start) < slice && ctx.Err() == nil {
				if err := appendOne(ctx, writer); err != nil {
					return err
				}
				n++
			}
			return ctx.Err()
		})
	}
	err = group.Wait()
	return int(done.Load()), time.Since(start), err
}

// cursor is where a writer appends next. As in the suite, streams are short: a
// writer begins another one after ten appends.
type cursor struct {
	prefix  string
	stream  int
	appends int
	last    int64 // the stream's last revision, -1 when it has none
}

const appendsOfStream = 10

func cursors(prefix string, writers int) []cursor {
	all := make([]cursor, writers)
	for i := range all {
		all[i] = cursor{prefix: fmt.Sprintf("%s%d", prefix, i), last: -1}
	}
	return all
}

// next returns the stream to append so many events to, and its last revision.
func (c *cursor) next(events int) (stream string, last int64) {
	if c.appends == appendsOfStream {
		c.stream, c.appends, c.last = c.stream+1, 0, -1
	}
	last = c.last
	c.appends++
	c.last += int64(events)
	return fmt.Sprintf("%s-%d", c.prefix, c.stream), last
}
