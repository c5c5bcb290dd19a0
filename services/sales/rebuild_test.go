package sales_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/triangle-suite/triangle/contracts/flows"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// answers are what sales writes when the other services have said something.
var answers = []string{"sales.RequestOpened", "sales.RequestStatusChanged", "sales.LeadAccepted", "sales.LeadStatusChanged"}

// shown is what the API shows of what the tables hold.
type shown struct {
	Requests *salesv1.ListRequestsResponse
	Leads    *salesv1.ListLeadsResponse
	Rows     []string
}

func (w *world) shown(customer string) (s shown) {
	w.t.Helper()
	var err error
	s.Requests, err = w.client.ListRequests(w.t.Context(), &salesv1.ListRequestsRequest{CustomerId: customer})
	w.must(err)
	s.Leads, err = w.client.ListLeads(w.t.Context(), &salesv1.ListLeadsRequest{})
	w.must(err)
	s.Requests.Freshness, s.Leads.Freshness = nil, nil
	rows, err := w.db.Query(w.t.Context(), `SELECT 'request', request_id, seq, status FROM request UNION ALL SELECT 'lead', lead_id, seq, status FROM lead ORDER BY 1, 2`)
	w.must(err)
	s.Rows, err = projection.Collect(rows, func(row projection.Scanner, line *string) error {
		var table, id string
		var seq, status int64
		err := row.Scan(&table, &id, &seq, &status)
		*line = fmt.Sprintln(table, id, seq, status)
		return err
	})
	w.must(err)
	return s
}

// A database with tables of an older version comes to the same as one that was
// never upgraded, and nothing is written to the log on the way.
func TestTheReadModelsOfAnOlderVersionAreRebuilt(t *testing.T) {
	w := newWorld(t).start().withLeadsInRealTime()
	customer := w.register("N1", ann).GetCustomerId()
	for i := range 5 {
		id := fmt.Sprint("r", i)
		w.submit(id, customer)
		w.awaitTypes("request-"+id, "RequestOpened", "RequestStatusChanged")
	}
	w.issue(mailing("l1", 1), mailing("l2", 2))
	w.await("the tables to show all", func() bool { return w.count("request", "1 = 1") == 5 && w.count("lead", "1 = 1") == 2 })
	want := w.shown(customer)
	if len(want.Rows) != 7 || len(want.Requests.GetRequests()) != 5 || want.Requests.GetRequests()[0].GetRequestId() != "r4" {
		t.Fatalf("before: %v", want)
	}
	before := len(w.everything(answers...))
	w.stop()

	w.must(w.alter(
		`DELETE FROM lead`,
		`DELETE FROM request WHERE request_id = 'r2'`,
		`UPDATE request SET seq = 1`,
		`UPDATE projections SET version = 1 WHERE name = 'crm'`,
	))
	w.start()
	w.await("the rebuild", func() bool {
		_, err := w.client.ListLeads(w.t.Context(), &salesv1.ListLeadsRequest{})
		if err != nil && status.Code(err) != codes.Unavailable {
			t.Fatalf("while it is rebuilt the API answers %v", err)
		}
		ok, _ := w.ready()
		return err == nil && ok
	})
	if diff := cmp.Diff(want, w.shown(customer), protocmp.Transform()); diff != "" {
		t.Errorf("before and after the rebuild (-want +got):\n%s", diff)
	}
	if after := len(w.everything(answers...)); after != before {
		t.Errorf("the log has %d events, had %d before the rebuild", after, before)
	}
	w.submit("r9", customer)
	w.await("the flows to go on", func() bool { return w.count("request", "request_id = ?", "r9") == 1 })
}

// alter changes the database of a service that does not run.
func (w *world) alter(statements ...string) error {
	db, err := projection.Open(w.t.Context(), w.dbPath, string(flows.Sales))
	if err != nil {
		return err
	}
	err = db.Update(w.t.Context(), func(tx *projection.Tx) error {
		for _, statement := range statements {
			if _, err := tx.Exec(w.t.Context(), statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return db.Close()
}
