package marketing_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
)

func sales(id, topic string, value int64) *marketingv1.Proposition {
	return &marketingv1.Proposition{
		PropositionId: id, Name: "The " + id, Purpose: marketingv1.Purpose_PURPOSE_SALES, Topic: topic,
		ValueCents: value, BasePropensity: 0.5, Contents: []*marketingv1.Content{
			{Channel: journeyv1.Channel_CHANNEL_WEBSITE, Text: "Look at " + id},
			{Channel: journeyv1.Channel_CHANNEL_CALL_CENTRE, Text: "Say " + id},
		},
	}
}

func helpdesk() *marketingv1.Proposition {
	p := sales("helpdesk", "service", 100)
	p.Purpose = marketingv1.Purpose_PURPOSE_SERVICE
	return p
}

// define defines propositions, and waits until decisions know them.
func (w *world) define(all ...*marketingv1.Proposition) {
	w.t.Helper()
	for _, p := range all {
		if _, err := w.api.DefineProposition(keyed("define "+p.GetPropositionId()), &marketingv1.DefinePropositionRequest{Proposition: p}); err != nil {
			w.t.Fatal(err)
		}
	}
	w.await("the propositions", func() bool {
		resp, err := w.api.ListPropositions(context.Background(), &marketingv1.ListPropositionsRequest{})
		if err != nil {
			w.t.Fatal(err)
		}
		return len(resp.GetPropositions()) >= len(all)
	})
}

// fill defines as many propositions as there may be, each about a topic.
func (w *world) fill(topic string) {
	w.t.Helper()
	for i := range 500 {
		w.produce(fmt.Sprintf("proposition-p%d", i), fmt.Sprint("p", i), &marketingv1.PropositionDefined{PropositionId: fmt.Sprint("p", i), Topic: topic})
	}
	w.await("500 propositions", func() bool {
		var n int
		if err := w.db.QueryRow(w.t.Context(), `SELECT count(*) FROM own_proposition`).Scan(&n); err != nil {
			w.t.Fatal(err)
		}
		return n == 500
	})
}

func TestTheCatalogueHasABound(t *testing.T) {
	w := started(t, memory.Options{})
	w.fill("t")
	_, err := w.api.DefineProposition(keyed("one more"), &marketingv1.DefinePropositionRequest{Proposition: helpdesk()})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("one proposition more: %v, want FailedPrecondition", err)
	}
	changed := sales("p1", "t", 1)
	if _, err := w.api.DefineProposition(keyed("change"), &marketingv1.DefinePropositionRequest{Proposition: changed}); err != nil {
		t.Errorf("one that is there can be changed: %v", err)
	}
	// A decision over all of them fits into one append.
	w.decided("c1", w.contact("c1", "anna"))
}

func TestADecisionThatIsTooLargeDoesNotStopTheFlow(t *testing.T) {
	w := started(t, memory.Options{})
	w.fill(strings.Repeat("<", 500))
	if _, ok := w.answerTo("decisions-c1", w.contact("c1", "anna")).Message.(*flowv1.CauseExpired); !ok {
		t.Error("a decision of more than an append is there")
	}
	if err := w.app.Flows.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}
