package scenario

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"

	"github.com/triangle-suite/triangle/services/await"
	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"

	"github.com/triangle-suite/triangle/tools/internal/imports"
	"github.com/triangle-suite/triangle/tools/internal/sample"
	"github.com/triangle-suite/triangle/tools/internal/suite"
)

func playOf(run int) *play {
	p := &play{
		Config:       Config{Run: run, Sample: true, Patience: 50 * time.Millisecond, Tell: func(Step) {}},
		step:         &Step{ID: "test"},
		propositions: map[string]*marketingv1.Proposition{},
		decided:      map[string]string{},
	}
	for _, offer := range offers() {
		p.propositions[offer.GetPropositionId()] = offer
	}
	return p
}

func TestKeysTellRunStepAndCall(t *testing.T) {
	if got, want := playOf(3).key("order"), "run-3/test/order"; got != want {
		t.Errorf("the key is %q, want %q", got, want)
	}
}

func TestEachRunHasAVisitorAndAComplainerOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for run := 1; run <= sample.PersonCustomers; run++ {
		number, err := complainerOf(run)
		if err != nil {
			t.Fatal(err)
		}
		claims := playOf(run).claims()
		for _, identity := range []string{number, claims.GetCustomerNumber(), claims.GetEmail(), claims.GetPhone()} {
			if seen[identity] {
				t.Fatalf("run %d: %s appeared before", run, identity)
			}
			seen[identity] = true
		}
	}
}

func TestTheCampaignFindsEnoughCustomersOfTheSample(t *testing.T) {
	campaign := playOf(mostLeads).campaign()
	spent := map[string]int64{}
	for row, err := range imports.Orders(bytes.NewReader(sample.Orders)) {
		if err != nil {
			t.Fatal(err)
		}
		spent[row.CustomerNumber] += row.AmountCents
	}
	eligible := 0
	for _, cents := range spent {
		if cents >= campaign.GetMinSpentCents() {
			eligible++
		}
	}
	if eligible < mostLeads {
		t.Errorf("%d customers of the sample are eligible, fewer than %d", eligible, mostLeads)
	}
}

func TestOffersSellAndServe(t *testing.T) {
	p := playOf(1)
	list := []*journeyv1.NextBestAction{{PropositionId: "repair-service"}, {PropositionId: "box-set"}, {PropositionId: "unknown"}}
	if got := p.sales(list); len(got) != 1 || got[0].GetPropositionId() != "box-set" {
		t.Errorf("these sell: %v", got)
	}
	candidates := []*marketingv1.Candidate{
		{PropositionId: "box-set", Gate: marketingv1.Gate_GATE_SUITABILITY},
		{PropositionId: "concert-tickets", Gate: marketingv1.Gate_GATE_APPLICABILITY},
		{PropositionId: "repair-service", Gate: marketingv1.Gate_GATE_SUITABILITY},
	}
	if got := p.unsuitable(candidates); got != 1 {
		t.Errorf("%d selling propositions do not suit, want 1", got)
	}
}

func TestListsAreTheSameByPropositionAndPriority(t *testing.T) {
	list := []*journeyv1.NextBestAction{{PropositionId: "a", Priority: 2}, {PropositionId: "b", Priority: 1}}
	doubled := []*journeyv1.NextBestAction{{PropositionId: "a", Priority: 4}, {PropositionId: "b", Priority: 1}}
	if !same(list, list) || same(list, doubled) || same(list, list[:1]) {
		t.Error("lists are compared wrongly")
	}
}

func TestTotalsMayComeButNotBeTooMuch(t *testing.T) {
	tests := map[string]struct {
		customers, orders uint64
		cents             int64
		want              string
	}{
		"exactly":                   {sample.Customers, sample.OrderCount, sample.SpentCents, "right"},
		"a customer is missing":     {sample.Customers - 1, sample.OrderCount, sample.SpentCents, "wait"},
		"nothing yet":               {0, 0, 0, "wait"},
		"an order came twice":       {sample.Customers, sample.OrderCount + 1, sample.SpentCents + 100, "wrong"},
		"a cent too much":           {sample.Customers, sample.OrderCount, sample.SpentCents + 1, "wrong"},
		"one missing, one too many": {sample.Customers - 1, sample.OrderCount + 1, 0, "wrong"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := compareTotals(&salesv1.GetTotalsResponse{Customers: tc.customers, Orders: tc.orders, SpentCents: tc.cents})
			got := "wrong"
			switch {
			case err == nil:
				got = "right"
			case await.Passing(err):
				got = "wait"
			}
			if got != tc.want {
				t.Errorf("got %s, want %s (%v)", got, tc.want, err)
			}
		})
	}
}

func TestUntil(t *testing.T) {
	lasting := errors.New("this will not pass")
	tests := map[string]struct {
		answers []error // one a look, the last one again and again
		want    string
	}{
		"it holds":                          {[]error{nil}, ""},
		"it comes to hold":                  {[]error{await.NotYetf("almost"), status.Error(codes.NotFound, "not here"), nil}, ""},
		"it never holds":                    {[]error{await.NotYetf("3 of 4 are there")}, "waited until all is there, but context deadline exceeded: 3 of 4 are there"},
		"it can't hold any more":            {[]error{await.NotYetf("almost"), lasting}, "while waiting until all is there: this will not pass"},
		"a refusal ends it, whatever it is": {[]error{status.Error(codes.Internal, "broken")}, "while waiting until all is there: rpc error: code = Internal desc = broken"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			look := -1
			err := playOf(1).until(t.Context(), "all is there", func(context.Context) error {
				look = min(look+1, len(tc.answers)-1)
				return tc.answers[look]
			})
			if got := text(err); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestAPlayEndsWithTheStepThatFails(t *testing.T) {
	var told []string
	kept := parts
	t.Cleanup(func() { parts = kept })
	parts = []part{
		{"one", "", func(p *play, _ context.Context) (string, error) { p.knew(Sales, "%d", 1); return "done", nil }, false},
		{"left-out", "", nil, true},
		{"two", "", func(*play, context.Context) (string, error) { return "", errors.New("no") }, false},
		{"three", "", nil, false},
	}
	result, err := Play(t.Context(), Config{Run: 7, Tell: func(s Step) {
		if s.Ended {
			told = append(told, s.ID)
		}
	}})
	var failed *Failed
	if !errors.As(err, &failed) || failed.Step != "two" || err.Error() != "step two failed: no" {
		t.Errorf("the error is %v", err)
	}
	if result.OK || result.Run != 7 || len(result.Steps) != 2 || !result.Steps[0].OK || result.Steps[1].OK || result.Steps[1].Detail != "no" {
		t.Errorf("the result is %+v", result)
	}
	if strings.Join(told, " ") != "one two" || result.Steps[0].Knew[0] != (Knowledge{Sales, "1"}) {
		t.Errorf("told: %v, %+v", told, result.Steps[0])
	}
}

func TestRunsAreNumbered(t *testing.T) {
	layout := suite.In(t.TempDir())
	for want := 1; want <= 3; want++ {
		if got, err := NextRun(layout); err != nil || got != want {
			t.Errorf("got %d, %v, want %d", got, err, want)
		}
	}
	if err := os.WriteFile(layout.Runs(), []byte("many"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NextRun(layout); err == nil {
		t.Error("a broken number went unnoticed")
	}
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		count(0): "0", count(999): "999", count(1000): "1,000", count(-1234567): "-1,234,567",
		money(24409194): "244,091.94", money(5): "0.05", money(-100): "-1.00",
		short("0123456789"): "01234567", short("x"): "x",
		plain(journeyv1.RequestStatus_REQUEST_STATUS_IN_PROGRESS): "in progress", plain(salesv1.LeadStatus_LEAD_STATUS_CONVERTED): "converted",
		origin(&channelv1.Actions{Source: channelv1.ListSource_LIST_SOURCE_LAST_KNOWN, Reason: "contacts runs daily"}): "the last one known, as contacts runs daily",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestCanariesAreFoundWhereverTheyStand(t *testing.T) {
	const pieces = 1 << 20
	list, err := playOf(1).canaries()
	if err != nil || len(list) != 6+sampleCanaries {
		t.Fatalf("%d canaries, %v", len(list), err)
	}
	bird, birds := list[6], finderOf(t, list)
	for name, at := range map[string]int{"at the start": 0, "at a border": pieces - 5, "further on": 3*pieces + 17} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			data := append(bytes.Repeat([]byte("x"), at), bird.text...)
			if err := os.WriteFile(filepath.Join(dir, "file"), append(data, "the rest"...), 0o600); err != nil {
				t.Fatal(err)
			}
			var clear *found
			if _, err := searchFolder(t.Context(), dir, birds); !errors.As(err, &clear) || clear.what != bird.what || !lasts(err) {
				t.Errorf("got %v", err)
			}
		})
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), bytes.Repeat([]byte("x"), 3*pieces), 0o600); err != nil {
		t.Fatal(err)
	}
	if size, err := searchFolder(t.Context(), dir, birds); err != nil || size != 3*pieces {
		t.Errorf("%d bytes, %v", size, err)
	}
}

func finderOf(t *testing.T, list []canary) *finder {
	t.Helper()
	f, err := newFinder(list)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestTheFinderFindsWhatANaiveOneFinds holds it against a twin.
func TestTheFinderFindsWhatANaiveOneFinds(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	word := func(length int) []byte {
		text := make([]byte, length)
		for i := range text {
			text[i] = "ab"[chance.IntN(2)]
		}
		return text
	}
	hits := 0
	for range 2000 {
		list := []canary{{"one", word(prefix)}, {"two", word(prefix + 3)}, {"three", word(prefix + 1)}}
		data := word(chance.IntN(200))
		naive := slices.ContainsFunc(list, func(c canary) bool { return bytes.Contains(data, c.text) })
		if got := finderOf(t, list).search(data, "") != nil; got != naive {
			t.Fatalf("%q in %q: %v, want %v", list, data, got, naive)
		}
		if naive {
			hits++
		}
	}
	if hits < 100 || hits > 1900 {
		t.Errorf("%d of 2000 were hits: that shows little", hits)
	}
}

func TestCanariesAreFoundInEvents(t *testing.T) {
	store := eventstoretest.Start(t)
	client := store.Client(t)
	list := finderOf(t, []canary{{"the street", []byte("tullaroop street")}})
	write := func(data string) {
		t.Helper()
		_, err := client.AppendToStream(t.Context(), "customer-1", esdb.AppendToStreamOptions{}, esdb.EventData{
			EventID: uuid.New(), ContentType: esdb.ContentTypeJson, EventType: "sales.CustomerRegistered", Data: []byte(data),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	write(`{"street":"sealed"}`)
	if events, err := searchStore(t.Context(), store.ConnectionString(), list); err != nil || events < 1 {
		t.Errorf("%d events, %v", events, err)
	}
	write(`{"street":"tullaroop street"}`)
	_, err := searchStore(t.Context(), store.ConnectionString(), list)
	if err == nil || err.Error() != "the street stands in clear in event 1@sales.CustomerRegistered" {
		t.Errorf("got %v", err)
	}
}
