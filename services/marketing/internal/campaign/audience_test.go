package campaign

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/arbitration"
	"github.com/triangle-suite/triangle/services/marketing/internal/complaint"
	"github.com/triangle-suite/triangle/services/marketing/internal/facts"
	"github.com/triangle-suite/triangle/services/marketing/internal/lead"
	"github.com/triangle-suite/triangle/services/marketing/internal/nba"
	"github.com/triangle-suite/triangle/services/marketing/internal/proposition"
	"github.com/triangle-suite/triangle/services/marketing/internal/segment"
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
	leads []sent
}

// sent is a lead that the person got so many hours ago.
type sent struct {
	hours   int
	channel journeyv1.Channel
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
	p.leads = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) sent {
		return sent{rapid.IntRange(0, 30).Draw(t, "hours ago"), journeyv1.Channel(rapid.Int32Range(2, 3).Draw(t, "channel of the lead"))}
	}), 0, 3).Draw(t, "leads")
	return p
}

// hasPlace tells whether the caps leave room for one more.
func (p person) hasPlace(c *marketingv1.CampaignDefined, caps []*marketingv1.LeadCap) bool {
	for _, l := range caps {
		of := l.GetChannel() == journeyv1.Channel_CHANNEL_UNSPECIFIED
		if !of && l.GetChannel() != c.GetChannel() {
			continue
		}
		n := uint32(0)
		for _, s := range p.leads {
			if (of || s.channel == c.GetChannel()) && s.hours < int(l.GetHours()) {
				n++
			}
		}
		if n >= l.GetMost() {
			return false
		}
	}
	return true
}

// naive chooses as one would explain it.
func naive(by choice, all []person) (who chosen) {
	c := by.campaign
	var placed []person
	for _, p := range all {
		complains := p.request.kind == journeyv1.RequestKind_REQUEST_KIND_COMPLAINT && p.request.status != journeyv1.RequestStatus_REQUEST_STATUS_DONE
		suits := !complains || by.proposition.GetPurpose() != marketingv1.Purpose_PURPOSE_SALES
		objects := p.consent == journeyv1.Consent_CONSENT_WITHDRAWN
		belongs := by.segment == nil || p.orders >= 2
		among := by.among == nil || slices.Contains(by.among, p.id)
		if p.orders < c.GetMinOrders() || p.spent < c.GetMinSpentCents() || !suits || objects || !belongs || !among {
			continue
		}
		who.eligible++
		if p.hasPlace(c, by.caps) {
			placed = append(placed, p)
		} else {
			who.capped++
		}
	}
	slices.SortFunc(placed, func(a, b person) int { return cmp.Or(cmp.Compare(b.spent, a.spent), cmp.Compare(a.id, b.id)) })
	for i, p := range placed {
		switch most := int(c.GetMaxLeads()); {
		case i < most:
			who.customers = append(who.customers, p.id)
		case i < 2*most:
			who.reserves = append(who.reserves, p.id)
		}
	}
	return who
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
	own := projection.Schema{Name: "own", Version: 1, Tables: slices.Concat(proposition.Tables, arbitration.Tables, Tables, lead.Tables)}
	if err := db.Create(t.Context(), facts.Schema, complaint.Schema, nba.Schema, own); err != nil {
		t.Fatal(err)
	}
	often, err := segment.Read(t.Context(), db, "orders >= 2", noon)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		people := rapid.SliceOfNDistinct(rapid.Custom(anyone), 0, 20, func(p person) string { return p.id }).Draw(t, "people")
		by := choice{at: noon, campaign: &marketingv1.CampaignDefined{
			Channel:       journeyv1.Channel_CHANNEL_EMAIL,
			MinOrders:     rapid.Uint32Range(0, 3).Draw(t, "min orders"),
			MinSpentCents: rapid.Int64Range(0, 400).Draw(t, "min spent"),
			MaxLeads:      rapid.Uint32Range(1, 8).Draw(t, "max leads"),
		}}
		by.proposition = &marketingv1.PropositionDefined{
			PropositionId: "savings", Purpose: marketingv1.Purpose(rapid.Int32Range(1, 2).Draw(t, "purpose")),
		}
		if rapid.Bool().Draw(t, "of a segment") {
			by.segment = &often
		}
		if len(people) > 0 && rapid.Bool().Draw(t, "among some") {
			by.among = []string{people[0].id, people[len(people)-1].id}
		}
		by.caps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *marketingv1.LeadCap {
			return &marketingv1.LeadCap{
				Channel: journeyv1.Channel(rapid.SampledFrom([]int32{0, 2, 3}).Draw(t, "channel of the cap")),
				Hours:   rapid.Uint32Range(1, 30).Draw(t, "hours"), Most: rapid.Uint32Range(0, 3).Draw(t, "most"),
			}
		}), 0, 2).Draw(t, "caps")
		if err := db.Update(t.Context(), func(tx *projection.Tx) error { return keep(t, tx, people) }); err != nil {
			t.Fatal(err)
		}
		got, err := audience(t.Context(), db, by)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.customers) == 0 {
			got.customers = nil
		}
		if diff := gocmp.Diff(naive(by, people), got, gocmp.AllowUnexported(chosen{})); diff != "" {
			t.Errorf("chosen (-want +got):\n%s", diff)
		}
	})
}

// keep puts people, and nobody else, into the tables.
func keep(t *rapid.T, tx *projection.Tx, people []person) error {
	for _, table := range []string{"facts_customer", "complaint_request", "own_lead"} {
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
		for i, l := range p.leads {
			if _, err := tx.Exec(t.Context(), `INSERT INTO own_lead (lead_id, campaign_id, run_id, customer_id, proposition_id, channel, issued_at, presented, accepted)
				VALUES (?, 'c', 'r', ?, 'p', ?, ?, 0, 0)`, fmt.Sprint(p.id, i), p.id, int32(l.channel), noon.Add(-time.Duration(l.hours)*time.Hour).UnixMilli()); err != nil {
				return err
			}
		}
	}
	return nil
}
