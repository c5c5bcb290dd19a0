package e2e

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite"
)

// leftOut lists the columns that two equal runs need not agree on, and why.
var leftOut = map[string]string{
	"flow_checkpoint.commit_position":  "positions in the log depend on how events of different streams interleave",
	"flow_checkpoint.prepare_position": "positions in the log depend on how events of different streams interleave",
	"flow_checkpoint.event_id":         "the last event may be a marker, whose id is drawn by who asked for it",
	"flow_checkpoint.owner":            "it names the process, which is another one after each start",
	"flow_owner.token":                 "it names the process, which is another one after each start",
	"flow_owner.until":                 "it is a time of the clock",
	"flow_checkpoint.window_taken":     "how many events came since the last window depends on when it closed",
	"flow_checkpoint.last_due":         "it is a time of the clock",
	"flow_checkpoint.digest":           "it is over flow_chain.chain",
	"flow_chain.chain":                 "where two streams hold a key's events, as a customer's, how they interleave in the log is chance",
	"flow_checkpoint.as_of":            "it is a time of the store's clock",
	"nba.traceparent":                  "it is the trace of the call, which is drawn",
	"flow_environment.id":              "it is drawn when the store is new",
	"capacity_grant.name":              "it is of the clock's hour",
	"capacity_grant.starts_at":         "it is of the clock's hour",
	"capacity_grant.ends_at":           "it is of the clock's hour",
	"message_on_list.touched_at":       "it is a time of the store's clock",
	"message_on_list.commit_position":  "it is a position in the log",
	"message_on_list.prepare_position": "it is a position in the log",
	"customer_view.as_of":              "it is a position in the log",
	"customer_view_person.as_of":       "it is a position in the log",
	"customer_view_consent.as_of":      "it is a position in the log",
	"erasure.seq":                      "it is a position in the log",
	"contact_open.touched_at":          "it is a time of the store's clock",
	"contact_open.commit_position":     "it is a position in the log",
	"contact_open.prepare_position":    "it is a position in the log",
	"lead.accepted_at":                 "it is a time of the store's clock",
	"lead.seq":                         "it is a position in the log",
	"message.seq":                      "it is a position in the log",
	"request.seq":                      "it is a position in the log",
	"nba.decided_at":                   "it is a time of the clock",
	"nba_answered.last_at":             "it is a time of the clock",
	"nba_event.last_at":                "it is a time of the clock",
	"nba_interest.last_at":             "it is a time of the clock",
	"nba_presented.last_at":            "it is a time of the clock",
	"own_lead.issued_at":               "it is a time of the clock",
	"own_run.planned_at":               "it is a time of the clock",
	"nba_approach.hour":                "it is a time of the clock",
	"process_step.entered_at":          "it is a time of the store's clock",
	"process_step.took":                "it is how long something took",
	"nba.rested_on":                    "it holds how far, by the clock, each flow was when the decision was made",
}

// timed lists the tables whose rows come and go with the clock, and why.
var timed = map[string]string{
	"flow_freshness": "it measures how fresh a flow is, by the clock and since the process began",
}

// dump returns every row of every table of a database, but for what is left out,
// as text in an order of its own.
func dump(t *testing.T, path string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path)+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var all []string
	for _, table := range column(t, db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`) {
		if _, out := timed[table]; out {
			continue
		}
		var columns []string
		for _, c := range column(t, db, `SELECT name FROM pragma_table_info('`+table+`')`) {
			if _, out := leftOut[table+"."+c]; !out {
				columns = append(columns, `"`+c+`"`)
			}
		}
		if len(columns) == 0 {
			columns = []string{"count(*)"} // how many rows there are is all that is left to compare
		}
		all = append(all, rows(t, db, table, columns)...)
	}
	slices.Sort(all)
	return all
}

func column(t *testing.T, db *sql.DB, query string) (values []string) {
	t.Helper()
	result, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = result.Close() }()
	for result.Next() {
		var v string
		if err := result.Scan(&v); err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	return values
}

func rows(t *testing.T, db *sql.DB, table string, columns []string) (all []string) {
	t.Helper()
	result, err := db.QueryContext(t.Context(), `SELECT `+strings.Join(columns, `,`)+` FROM "`+table+`"`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = result.Close() }()
	for result.Next() {
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := result.Scan(into...); err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		text.WriteString(table)
		for i, c := range columns {
			if raw, ok := values[i].([]byte); ok {
				values[i] = fmt.Sprintf("%q", raw)
			}
			fmt.Fprintf(&text, " %s=%v", c, values[i])
		}
		all = append(all, text.String())
	}
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
