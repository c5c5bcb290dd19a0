package campaign

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/complaint"
	"github.com/triangle-suite/triangle/services/marketing/internal/facts"
)

// person is a customer as the naive twin knows them.
type person struct {
	id      string
	orders  uint32
	spent   int64
	consent journeyv1.Consent
	request struct {
		kind   journeyv1.RequestKind
		status journeyv1.RequestStatus
	}
}

func anyone(t *rapid.T) person {
	p := person{
		id:      rapid.StringMatching(`[a-z0-9]{1,3}`).Draw(t, "id"),
		orders:  rapid.Uint32Range(0, 4).Draw(t, "orders"),
		spent:   rapid.Int64Range(0, 6).Draw(t, "spent") * 100,
		consent: journeyv1.Consent(rapid.Int32Range(0, 2).Draw(t, "consent")),
	}
	p.request.kind = journeyv1.RequestKind(rapid.Int32Range(0, 3).Draw(t, "kind"))
	p.request.status = journeyv1.RequestStatus(rapid.Int32Range(0, 3).Draw(t, "status"))
	return p
}

// naive chooses as one would explain it.
func naive(c *marketingv1.CampaignDefined, all []person) []string {
	var chosen []person
	for _, p := range all {
		complains := p.request.kind == journeyv1.RequestKind_REQUEST_KIND_COMPLAINT && p.request.status != journeyv1.RequestStatus_REQUEST_STATUS_DONE
		objects := p.consent == journeyv1.Consent_CONSENT_WITHDRAWN
		if p.orders >= c.GetMinOrders() && p.spent >= c.GetMinSpentCents() && !complains && !objects {
			chosen = append(chosen, p)
		}
	}
	slices.SortFunc(chosen, func(a, b person) int { return cmp.Or(cmp.Compare(b.spent, a.spent), cmp.Compare(a.id, b.id)) })
	var ids []string
	for _, p := range chosen[:min(len(chosen), int(c.GetMaxLeads()))] {
		ids = append(ids, p.id)
	}
	return ids
}

func TestTheAudienceAgreesWithANaiveTwin(t *testing.T) {
	db, err := projection.Open(t.Context(), pgtest.Somewhere(t), "marketing")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := db.Create(t.Context(), facts.Schema, complaint.Schema); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		people := rapid.SliceOfNDistinct(rapid.Custom(anyone), 0, 20, func(p person) string { return p.id }).Draw(t, "people")
		c := &marketingv1.CampaignDefined{
			MinOrders:     rapid.Uint32Range(0, 3).Draw(t, "min orders"),
			MinSpentCents: rapid.Int64Range(0, 400).Draw(t, "min spent"),
			MaxLeads:      rapid.Uint32Range(1, 8).Draw(t, "max leads"),
		}
		if err := db.Update(t.Context(), func(tx *projection.Tx) error { return keep(t, tx, people) }); err != nil {
			t.Fatal(err)
		}
		got, err := audience(t.Context(), db, c)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(naive(c, people), got); diff != "" {
			t.Errorf("chosen (-want +got):\n%s", diff)
		}
	})
}

// keep puts people, and nobody else, into the tables.
func keep(t *rapid.T, tx *projection.Tx, people []person) error {
	for _, table := range []string{"facts_customer", "complaint_request"} {
		if _, err := tx.Exec(t.Context(), "DELETE FROM "+table); err != nil {
			return err
		}
	}
	for _, p := range people {
		if _, err := tx.Exec(t.Context(), `INSERT INTO facts_customer (customer_id, orders, spent_cents, consent) VALUES (?, ?, ?, ?)`,
			p.id, p.orders, p.spent, int32(p.consent)); err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), `INSERT INTO complaint_request (request_id, customer_id, kind, status) VALUES (?, ?, ?, ?)`,
			"request of "+p.id, p.id, int32(p.request.kind), int32(p.request.status)); err != nil {
			return err
		}
	}
	return nil
}
