package marketing_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/marketing/internal/nba"
)

// isAnswer tells the streams in which reactions answer.
func isAnswer(stream string) bool {
	return strings.HasPrefix(stream, "decisions-") || strings.HasPrefix(stream, "lead-response-")
}

// journey plays a journey in two contacts, and returns its causes by the stream
// that is to answer them.
func (w *world) journey() map[string][]string {
	w.t.Helper()
	w.contact("c1", "")
	w.produce("contact-c1", "anonymous interest", &channelv1.InterestShown{ContactId: "c1", Topic: "home"})
	decide := []string{w.produce("contact-c1", "identified", &channelv1.VisitorIdentified{
		ContactId: "c1", CustomerId: "anna", Channel: journeyv1.Channel_CHANNEL_WEBSITE,
	})}
	other := []string{w.contact("c2", "anna")}
	w.produce("contact-c1", "presented", &channelv1.PropositionPresented{ContactId: "c1", CustomerId: "anna", PropositionId: "savings"})
	decide = append(decide, w.produce("contact-c1", "later", &channelv1.PropositionAnswered{
		ContactId: "c1", CustomerId: "anna", PropositionId: "savings", Answer: journeyv1.Answer_ANSWER_LATER,
	}))
	response := w.produce("contact-c1", "response", &channelv1.LeadResponseReceived{
		ContactId: "c1", CustomerId: "anna", LeadId: "l1", Answer: journeyv1.Answer_ANSWER_ACCEPTED,
	})
	other = append(other, w.produce("contact-c2", "banner", &channelv1.BannerClicked{ContactId: "c2", CustomerId: "anna", PropositionId: "mortgage"}))
	w.produce("contact-c1", "ended", &channelv1.ContactEnded{ContactId: "c1"})
	w.produce("request-r1", "complaint", &salesv1.RequestStatusChanged{RequestId: "r1", CustomerId: "anna"})
	return map[string][]string{
		"decisions-c1": append(decide, response), "decisions-c2": other, "lead-response-l1": {response},
	}
}

// dump writes the tables that the flows fill, row by row.
func (w *world) dump() string {
	w.t.Helper()
	var out strings.Builder
	for _, table := range []string{
		"nba_contact", "nba_subject", "nba_presentation", "nba_learned",
		"(SELECT contact_id, topic, proposition_id, ordinal FROM nba_interest) AS interest",
		"(SELECT contact_id, proposition_id, presented, situation, accepted FROM nba_presented) AS presented",
		"(SELECT contact_id, proposition_id, lead_id, answer, ordinal FROM nba_answered) AS answered",
		"(SELECT contact_id, customer_id, channel, sum(times) FROM nba_approach GROUP BY contact_id, customer_id, channel) AS approach",
		"facts_customer", "complaint_request", "own_proposition", "own_arbitration", "own_segment", "own_campaign", "own_run", "own_trigger", "own_entrant", "own_lead", "own_learned", "(SELECT contact_id, kind, times FROM nba_event) AS event",
	} {
		rows, err := w.db.Query(w.t.Context(), "SELECT * FROM "+table+" ORDER BY 1, 2")
		if err != nil {
			w.t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			w.t.Fatal(err)
		}
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				w.t.Fatal(err)
			}
			fmt.Fprintln(&out, table, row)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			w.t.Fatal(err)
		}
	}
	return out.String()
}

// settled waits until every cause is answered and every flow has come to the end.
func (w *world) settled(causes map[string][]string) {
	w.t.Helper()
	for stream, ids := range causes {
		for _, id := range ids {
			w.answerTo(stream, id)
		}
	}
	last := w.contact("the last one", "")
	w.await("the end of the log", func() bool {
		var n int
		if err := w.db.QueryRow(w.t.Context(), `SELECT count(*) FROM nba_contact WHERE contact_id = 'the last one'`).Scan(&n); err != nil {
			w.t.Fatal(err, last)
		}
		return n == 1
	})
}

// decisions are what was decided, apart from how fresh the data was when.
func (w *world) decisions(stream string) []string {
	w.t.Helper()
	var all []string
	for _, e := range w.read(stream) {
		if d, ok := e.Message.(*marketingv1.NextBestActionsDecided); ok {
			d.RestedOn, d.OwnPosition = nil, nil
			if err := nba.Verify(d); err != nil {
				w.t.Error(err)
			}
		}
		text, err := codec.Canonical(e.Message)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, fmt.Sprint(e.ID, " to ", e.Metadata.CausationID, ": ", string(text)))
	}
	slices.Sort(all)
	return all
}

// outcome is all that a world came to.
func (w *world) outcome(causes map[string][]string) map[string]any {
	w.t.Helper()
	w.settled(causes)
	o := map[string]any{"tables": w.dump()}
	for stream := range causes {
		o[stream] = w.decisions(stream)
	}
	return o
}

// faulty is a log whose appends can be made to fail by a test.
type faulty struct {
	before, after atomic.Pointer[func(stream string) error]
}

func (f *faulty) options() memory.Options {
	run := func(hook *atomic.Pointer[func(string) error]) func(string, []eventlog.NewEvent) error {
		return func(stream string, _ []eventlog.NewEvent) error {
			if fault := hook.Load(); fault != nil {
				return (*fault)(stream)
			}
			return nil
		}
	}
	return memory.Options{BeforeAppend: run(&f.before), AfterAppend: run(&f.after)}
}

var errCrash = errors.New("the process has ended")

// The process ends at each answer, before and after it is in the log, and starts
// again: each cause has one answer, and the tables are as if nothing had happened.
func TestACrashLeavesNoTrace(t *testing.T) {
	propositions := []*marketingv1.Proposition{sales("mortgage", "home", 9000), sales("savings", "saving", 10000)}
	undisturbed := started(t, memory.Options{})
	undisturbed.define(propositions...)
	causes := undisturbed.journey()
	want := undisturbed.outcome(causes)
	answers := 0
	for _, ids := range causes {
		answers += len(ids)
	}
	for n := range answers {
		for _, when := range []string{"before", "after"} {
			t.Run(fmt.Sprintf("%s answer %d", when, n+1), func(t *testing.T) {
				f := &faulty{}
				w := started(t, f.options())
				w.define(propositions...)
				var count atomic.Int32
				crashed := make(chan struct{})
				crash := w.crash
				fault := func(stream string) error {
					if !isAnswer(stream) || count.Add(1) != int32(n+1) {
						return nil
					}
					crash()
					close(crashed)
					return errCrash
				}
				if when == "before" {
					f.before.Store(&fault)
				} else {
					f.after.Store(&fault)
				}
				causes := w.journey()
				<-crashed
				w.restart()
				if diff := cmp.Diff(want, w.outcome(causes)); diff != "" {
					t.Errorf("after a crash (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// Answers of the store that get lost are no answers: nothing is done twice.
func TestLostAnswersOfTheStoreChangeNothing(t *testing.T) {
	f := &faulty{}
	w := started(t, f.options())
	w.define(sales("savings", "saving", 10000))
	var count atomic.Int32
	lose := func(stream string) error {
		if isAnswer(stream) && count.Add(1)%2 == 1 {
			return context.DeadlineExceeded
		}
		return nil
	}
	f.after.Store(&lose)
	causes := w.journey()
	w.settled(causes)
	for stream, ids := range causes {
		var got []string
		for _, e := range w.read(stream) {
			got = append(got, e.Metadata.CausationID)
		}
		if diff := cmp.Diff(slices.Sorted(slices.Values(ids)), slices.Sorted(slices.Values(got))); diff != "" {
			t.Errorf("%s answers (-want +got):\n%s", stream, diff)
		}
	}
}

// New tables, filled from the log once more, are the same; and every cause keeps
// the answer that it had.
func TestTablesAreRebuiltFromTheLog(t *testing.T) {
	w := started(t, memory.Options{})
	w.define(sales("mortgage", "home", 9000), sales("savings", "saving", 10000))
	want := w.outcome(w.journey())
	answers := map[string]int{}
	for stream := range maps.Keys(want) {
		answers[stream] = len(w.read(stream))
	}
	w.end()
	w.dbPath += ".new"
	w.start()
	w.await("the tables", func() bool { return w.dump() == want["tables"] })
	for stream, n := range answers {
		if got := len(w.read(stream)); got != n {
			t.Errorf("%s had %d answers, and has %d", stream, n, got)
		}
	}
}
