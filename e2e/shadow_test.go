package e2e

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// Before request-status, which is daily, goes on in real time, a shadow shows what
// would come of it: the same. A row that is deleted behind the service's back is
// found and named, and when the shadow is stopped nothing is left of it.
func TestAShadowShowsWhatAnotherCadenceWouldComeTo(t *testing.T) {
	s := up(t)
	database := filepath.Join(s.data, "marketing.db")
	s.call(http.StatusOK, http.MethodPost, "sales", "/v1/customers", body{"customer_number": "c-1", "source": "test"})
	s.triangle("flow", "shadow", "start", "request-status", "--cadence", "realtime")

	s.complain("c-1")
	if outcome, out := s.compareWithShadow(); outcome != "SHADOW_OUTCOME_EQUAL" {
		t.Errorf("the daily flow and its shadow in real time are %s:\n%s", outcome, out)
	}

	request := deleteOne(t, database)
	if outcome, out := s.compareWithShadow(); outcome != "SHADOW_OUTCOME_DIFFERENT" || !strings.Contains(out, request) {
		t.Errorf("after a row was deleted the two are %s, want them to differ in %s:\n%s", outcome, request, out)
	}

	copies := func() []string {
		files, err := filepath.Glob(database + "-shadow*")
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	if len(copies()) == 0 {
		t.Error("the shadow has no copy of the tables")
	}
	s.triangle("flow", "shadow", "stop", "request-status", "--reason", "seen enough")
	s.await("nothing left of the shadow", func() bool { return len(copies()) == 0 })
}

// compareWithShadow sets a marker, opens request-status up to it, and returns how
// the last comparison ended, and all of them as the command prints them.
func (s *suite) compareWithShadow() (outcome, out string) {
	s.t.Helper()
	s.triangle("flow", "shadow", "compare", "request-status", "--no-wait")
	s.triangle("flow", "run", "request-status")
	s.await("both at the marker", func() bool {
		var shadow struct {
			Waiting  []string
			Compared []struct{ Outcome string }
		}
		out = s.triangle("flow", "shadow", "show", "request-status", "--json")
		if err := json.Unmarshal([]byte(out), &shadow); err != nil {
			s.t.Fatal(err)
		}
		if len(shadow.Waiting) > 0 || len(shadow.Compared) == 0 {
			return false
		}
		outcome = shadow.Compared[len(shadow.Compared)-1].Outcome
		return true
	})
	return outcome, out
}
