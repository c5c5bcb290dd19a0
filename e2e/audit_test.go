package e2e

import (
	"database/sql"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever the scenario did, every flow adds up. A row that is deleted behind a
// service's back is missed, and named.
func TestEveryFlowOfTheScenarioAddsUp(t *testing.T) {
	data := t.TempDir()
	demo(t, data, func(int) {})
	t.Run("after the scenario", func(t *testing.T) {
		s := upOn(t, data)
		t.Log(s.triangle("flow", "probe"))
		for _, flow := range s.flows() {
			out, status := s.audit(flow, "--from", "0")
			if status != 0 {
				t.Errorf("triangle flow audit %s ended with %d:\n%s", flow, status, out)
			}
			t.Log(out)
		}
	})
	requests := deleteOne(t, filepath.Join(data, "marketing.db"))
	t.Run("after a row was deleted", func(t *testing.T) {
		s := upOn(t, data)
		out, status := s.audit("request-status", "--from", "0")
		if status != 1 || !strings.Contains(out, requests) || !strings.Contains(out, "is missing") {
			t.Errorf("triangle flow audit request-status ended with %d, want 1, and %s named as missing:\n%s", status, requests, out)
		}
		t.Log(out)
		if out, status = s.audit("customer-facts", "--from", "0"); status != 0 {
			t.Errorf("triangle flow audit customer-facts ended with %d, want 0: nobody touched it\n%s", status, out)
		}
	})
}

// flows returns the names of the catalogue's flows.
func (s *suite) flows() (names []string) {
	var list struct{ Flows []struct{ Flow string } }
	if err := json.Unmarshal([]byte(s.triangle("flow", "list", "--json")), &list); err != nil {
		s.t.Fatal(err)
	}
	for _, f := range list.Flows {
		names = append(names, f.Flow)
	}
	if len(names) < 12 {
		s.t.Fatalf("there are flows %q, want all of the catalogue", names)
	}
	return names
}

// audit has a flow audited, and returns what the command prints and its status.
func (s *suite) audit(flow string, more ...string) (out string, status int) {
	s.t.Helper()
	return s.try(append([]string{"flow", "audit", flow}, more...)...)
}

// deleteOne deletes a row of marketing's complaints from the file of the service,
// which is stopped, and returns its key.
func deleteOne(t *testing.T, path string) (request string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(t.Context(), `SELECT request_id FROM complaint_request LIMIT 1`).Scan(&request); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `DELETE FROM complaint_request WHERE request_id = ?`, request); err != nil {
		t.Fatal(err)
	}
	return request
}
