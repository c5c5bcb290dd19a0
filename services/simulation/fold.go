package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/host"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// folded is a service that has taken in the whole log on a new database.
type folded struct {
	name flows.Service
	db   *projection.DB
	app  host.Application
	view *view
}

// foldAnew has a service take in all its flows on a new database, while nothing
// breaks. Its workers do not run: what they would do is done.
func (w *world) foldAnew(ctx context.Context, name flows.Service, where string) (f folded, err error) {
	f = folded{name: name, view: &view{Log: w.log, forbid: func(stream string, events []eventlog.NewEvent) error {
		w.diverge("%s, folded anew, finds that %s is missing in %s", name, events[0].Type, stream)
		return errBroken
	}}}
	if f.db, err = projection.Open(ctx, where, string(name), projection.Alone); err != nil {
		return f, err
	}
	parts := host.Parts{
		DB: f.db, Streams: &decider.Streams{Log: f.view, Codec: w.codec}, Ring: w.ring,
		Logger: w.logger(string(name) + " anew"), Heartbeat: heartbeat,
		Origins: func(context.Context, string, proto.Message) (decider.Origin, error) {
			return decider.Origin{}, errors.ErrUnsupported // nobody calls
		},
	}
	if f.app, err = builds[name](ctx, parts, "", 0); err != nil {
		return f, errors.Join(err, f.db.Close())
	}
	running, end := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- f.app.Flows.Run(running) }()
	pause(settled)
	synctest.Wait()
	if err := f.app.Flows.Ready(ctx); err != nil {
		w.diverge("%s, folded anew, does not go on: %v", name, err)
	}
	end()
	return f, <-ended
}

// view is the log as somebody sees it who only reads. What is told of progress is
// nobody's answer, and gets lost, as do markers of windows: in an epoch that has
// been, as all have but the last, a window that is due now says nothing any more.
type view struct {
	eventlog.Log
	forbid func(stream string, events []eventlog.NewEvent) error
	past   *past // if it is given, who writes answers once more
}

// Append implements eventlog.Log.
func (v *view) Append(_ context.Context, stream string, _ eventlog.Expected, events ...eventlog.NewEvent) (eventlog.Appended, error) {
	if strings.HasPrefix(stream, flows.ProgressStream("")) || len(events) == 1 && events[0].Type == "flow.WindowOpened" {
		return eventlog.Appended{}, nil
	}
	if v.past != nil {
		return v.past.append(stream, events)
	}
	return eventlog.Appended{}, v.forbid(stream, events)
}

// SetMaxCount implements eventlog.Log.
func (v *view) SetMaxCount(context.Context, string, uint64) error { return nil }

// apart are columns and rows that may differ, and why.
var apart = map[string]struct{ columns, rows, reason string }{
	"flow_owner":      {rows: "1 = 0", reason: "a process owns the flows, and each has its own token"},
	"flow_freshness":  {rows: "1 = 0", reason: "what was measured by the clock"},
	"flow_checkpoint": {columns: "owner last_due", reason: "the token of the owner; the clock when the first epoch began"},
	"flow_parked":     {columns: "parked_at attempts reason", reason: "the clock when it was parked; how often it was tried and what that came to, as an operator may ask before or after the next one of a key comes"},
	"flow_chain":      {rows: "epoch >= (SELECT c.epoch FROM flow_checkpoint c WHERE c.flow = flow_chain.flow) - 1", reason: "chains of epochs long past are deleted when there is time"},
}

// compare compares all tables with those that were folded anew, row by row.
func (w *world) compare(ctx context.Context, where string, anew folded) (err error) {
	db, err := projection.Open(ctx, where, string(anew.name), projection.Alone)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tables, err := texts(ctx, db, `SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name`)
	if err != nil {
		return err
	}
	for _, table := range tables {
		was, err := dump(ctx, db, table)
		if err != nil {
			return err
		}
		is, err := dump(ctx, anew.db, table)
		if err != nil {
			return err
		}
		w.differ(string(anew.name)+"."+table, was, is)
	}
	return nil
}

// differ tells the first rows that are in one list only.
func (w *world) differ(table string, was, is []string) {
	told := 0
	only := func(where string, these, those []string) {
		for _, row := range these {
			if _, found := slices.BinarySearch(those, row); !found && told < 4 {
				told++
				w.diverge("%s: only %s: %s", table, where, row)
			}
		}
	}
	only("after the faults", was, is)
	only("folded anew", is, was)
	if told == 0 && len(was) != len(is) {
		w.diverge("%s: %d rows after the faults, %d folded anew", table, len(was), len(is))
	}
}

// dump writes the rows of a table as text, in order.
func dump(ctx context.Context, q projection.Querier, table string) ([]string, error) {
	columns, err := texts(ctx, q, `SELECT name FROM pragma_table_info(?) ORDER BY cid`, table)
	if err != nil {
		return nil, err
	}
	leave := strings.Fields(apart[table].columns)
	columns = slices.DeleteFunc(columns, func(column string) bool { return slices.Contains(leave, column) })
	for i, column := range columns {
		columns[i] = `'` + column + `=' || quote(` + column + `)`
	}
	query := `SELECT ` + strings.Join(columns, ` || ' ' || `) + ` FROM ` + table
	if rows := apart[table].rows; rows != "" {
		query += ` WHERE ` + rows
	}
	rows, err := texts(ctx, q, query)
	if err != nil {
		return nil, fmt.Errorf("read the table %s: %w", table, err)
	}
	slices.Sort(rows)
	return rows, nil
}

func texts(ctx context.Context, q projection.Querier, query string, args ...any) ([]string, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return projection.Collect(rows, func(row projection.Scanner, text *string) error { return row.Scan(text) })
}
