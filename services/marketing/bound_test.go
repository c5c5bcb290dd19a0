package marketing_test

import (
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
)

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
