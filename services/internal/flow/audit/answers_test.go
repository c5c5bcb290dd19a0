package audit_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow/audit"
)

// namespace is that of all derived ids.
var namespace = uuid.MustParse("b2a4d0a6-3f0e-5a53-9a5e-0c2a4f1f6d11")

// written is an event of a reaction to cause 1, the ordinal-th in its stream.
type written struct {
	eventType, stream string
	ordinal           int
}

// What there is to be said of a cause is in the log, or it is missing.
func TestACauseIsAnsweredOrOnRecordAsNoneOrMissing(t *testing.T) {
	type counts struct{ Answered, None, Missing, Twice int }
	const nothing, step, done = "flow.NothingDecided", "sales.IdentityReserved", "sales.ContactRegistered"
	for name, tc := range map[string]struct {
		log  []written
		want counts
	}{
		"nothing is on record":       {nil, counts{Missing: 1}},
		"an answer":                  {[]written{{done, "a", 0}}, counts{Answered: 1}},
		"an answer of two events":    {[]written{{step, "a", 0}, {done, "a", 1}}, counts{Answered: 1}},
		"nothing to do":              {[]written{{nothing, "a", 0}}, counts{None: 1}},
		"nothing to do after a step": {[]written{{step, "a", 0}, {nothing, "b", 0}}, counts{Answered: 1}},
		"a step after nothing to do": {[]written{{nothing, "a", 0}, {step, "b", 0}}, counts{Answered: 1}},
		"nothing to do, twice":       {[]written{{nothing, "a", 0}, {nothing, "a", 0}}, counts{None: 1, Twice: 1}},
		"nothing to do, and then an answer": {
			[]written{{nothing, "a", 0}, {done, "a", 0}}, counts{Answered: 1, Twice: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cause := audit.Cause{ID: uuid.NewSHA1(uuid.Nil, []byte("1")), Key: "k", Position: eventlog.Position{Commit: 1, Prepare: 1}}
			origin := "reaction:h:" + cause.ID.String()
			a := audit.NewAnswers("h")
			a.Cause("h", cause)
			for _, e := range tc.log {
				id := uuid.NewSHA1(namespace, fmt.Appendf(nil, "event|%d|%s|%s", e.ordinal, e.stream, origin))
				a.Event(eventlog.Event{NewEvent: eventlog.NewEvent{ID: id, Type: e.eventType}, Stream: e.stream}, origin)
			}
			r := a.Of("h")
			got := counts{int(r.Answered), int(r.None), len(r.Missing()), len(r.Twice)} //nolint:gosec // there is one
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if total := got.Answered + got.None + got.Missing; total != 1 {
				t.Errorf("one cause, and %d are accounted for", total)
			}
		})
	}
}
