package flow

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// foldWorld is a log with many events of one flow, and a read model of them: a row
// for each of many keys.
func foldWorld(b *testing.B, events int) (f fold) {
	b.Helper()
	log := memory.New(memory.Options{})
	b.Cleanup(func() {
		if err := log.Close(); err != nil {
			b.Error(err)
		}
	})
	c, err := codec.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	f.streams = &decider.Streams{Log: log, Codec: c}
	flow, _ := flows.Find("request-status")
	f.consumer = Consumer{Flow: flow, Schema: projection.Schema{Name: "stand", Version: 1, Tables: []string{
		`CREATE TABLE stand (request TEXT PRIMARY KEY, status BIGINT NOT NULL, changes BIGINT NOT NULL)`,
	}}, Project: func(ctx context.Context, tx *projection.Tx, e codec.Event) error {
		m := e.Message.(*salesv1.RequestStatusChanged)
		return tx.Write(ctx, `INSERT INTO stand (request, status, changes) VALUES (?,?,1)
			ON CONFLICT (request) DO UPDATE SET status = excluded.status, changes = stand.changes + 1`, m.GetRequestId(), int32(m.GetStatus()))
	}}
	f.takes = func(e eventlog.Event) bool { return e.Type == "sales.RequestStatusChanged" }
	for i := range events {
		request := fmt.Sprint("request-", i%(events/5+1))
		e, err := c.Encode(b.Context(), &salesv1.RequestStatusChanged{
			RequestId: request, CustomerId: "customer of " + request, Kind: journeyv1.RequestKind_REQUEST_KIND_COMPLAINT,
			Status: journeyv1.RequestStatus_REQUEST_STATUS_OPEN, Detail: "the back office looks into it",
		}, uuid.New(), codec.Metadata{Source: codec.Source(flows.Sales), Time: time.Now()})
		if err != nil {
			b.Fatal(err)
		}
		appended, err := log.Append(b.Context(), request, eventlog.Any, e)
		if err != nil {
			b.Fatal(err)
		}
		f.until = appended.Position
	}
	return f
}

// BenchmarkFold compares a rebuild with a bare loop that reads and decodes the
// same events and does nothing with them. They take turns.
func BenchmarkFold(b *testing.B) {
	const events = 50_000
	f := foldWorld(b, events)
	for name, database := range pgtest.Databases() {
		b.Run(name, func(b *testing.B) {
			var bare, folding time.Duration
			for b.Loop() {
				began := time.Now()
				err := f.each(b.Context(), func(e eventlog.Event) error {
					_, err := f.streams.Codec.Decode(b.Context(), e)
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
				bare += time.Since(began)
				db, err := projection.Open(b.Context(), database(b), "bench")
				if err != nil {
					b.Fatal(err)
				}
				began = time.Now()
				if n, err := f.into(b.Context(), db); err != nil || n != events {
					b.Fatal(n, err)
				}
				folding += time.Since(began)
				if err := db.Drop(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			n := float64(b.N) * events
			b.ReportMetric(bare.Seconds()/folding.Seconds(), "of-bare")
			b.ReportMetric(n/folding.Seconds(), "events/s")
			b.ReportMetric(n/bare.Seconds(), "bare-events/s")
		})
	}
}

// BenchmarkSwap measures how long the tables of a million rows take to change
// places, which holds up whoever takes the flow in.
func BenchmarkSwap(b *testing.B) {
	const rows = 1_000_000
	for name, database := range pgtest.Databases() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				db, beside := besideWithRows(b, database(b), rows)
				b.StartTimer()
				err := db.Update(b.Context(), func(tx *projection.Tx) error { return db.Adopt(b.Context(), tx, beside, standing) })
				b.StopTimer()
				if err != nil {
					b.Fatal(err)
				}
				var n int
				if err := db.QueryRow(b.Context(), `SELECT count(*) FROM stand`).Scan(&n); err != nil || n != rows {
					b.Fatal(n, err)
				}
				if err := beside.Drop(b.Context()); err != nil {
					b.Fatal(err)
				}
				if err := db.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

var standing = projection.Schema{Name: "stand", Version: 2, Tables: []string{
	`CREATE TABLE stand (request TEXT PRIMARY KEY, status BIGINT NOT NULL, changes BIGINT NOT NULL)`,
	`CREATE INDEX stand_status ON stand (status, request)`,
}}

func besideWithRows(b *testing.B, where string, rows int) (db, beside *projection.DB) {
	b.Helper()
	db, err := projection.Open(b.Context(), where, "bench")
	if err != nil {
		b.Fatal(err)
	}
	old := standing
	old.Version = 1
	if err := db.Create(b.Context(), old); err != nil {
		b.Fatal(err)
	}
	if beside, err = db.Beside(b.Context(), "beside"); err != nil {
		b.Fatal(err)
	}
	if err := beside.Create(b.Context(), standing); err != nil {
		b.Fatal(err)
	}
	err = beside.Update(b.Context(), func(tx *projection.Tx) error {
		_, err := tx.Exec(b.Context(), `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			INSERT INTO stand (request, status, changes) SELECT 'request-' || i, i % 5, i FROM n`, rows)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return db, beside
}
