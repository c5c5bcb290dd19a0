package marketing_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
)

func (w *world) capLeads(caps ...*marketingv1.LeadCap) {
	w.t.Helper()
	_, err := w.api.ConfigureLeadCaps(keyed("caps"), &marketingv1.ConfigureLeadCapsRequest{LeadCaps: &marketingv1.LeadCaps{Caps: caps}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// issued are all leads in the log, in order.
func (w *world) issued() (all []*marketingv1.LeadIssued) {
	w.t.Helper()
	for raw, err := range w.streams.Log.ReadAll(context.Background(), eventlog.Forward, nil, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		if raw.Type != "marketing.LeadIssued" {
			continue
		}
		e, err := w.streams.Codec.Decode(context.Background(), raw)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, e.Message.(*marketingv1.LeadIssued))
	}
	return all
}

// Campaigns run at once over the same customers, by several callers, while the store
// loses answers and the service crashes and starts again: every customer gets as many
// leads as the caps allow, and not one more.
func TestScenarioMA6CampaignsThatRunAtOnceShareTheCaps(t *testing.T) {
	const campaigns, customers, most = 4, 6, 2
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			f := &faulty{}
			w := started(t, f.options())
			w.define(sales("savings", "saving", 10000))
			w.capLeads(&marketingv1.LeadCap{Hours: 24, Most: most}, &marketingv1.LeadCap{Channel: journeyv1.Channel_CHANNEL_PRINT, Hours: 24, Most: 0})
			spent := map[string]int64{}
			for i := range customers {
				spent[fmt.Sprint("customer-", i)] = 9000
			}
			w.spend(spent)
			for i := range campaigns {
				c := autumn()
				c.CampaignId, c.MaxLeads, c.Priority = fmt.Sprint("campaign-", i), customers, uint32(i)
				w.defineCampaign(c.GetCampaignId(), c)
			}
			var mu sync.Mutex
			random := rand.New(rand.NewPCG(seed, 2))
			lose := func(string) error {
				mu.Lock()
				defer mu.Unlock()
				if random.IntN(15) == 0 {
					return errors.New("the connection broke")
				}
				return nil
			}
			f.before.Store(&lose)
			f.after.Store(&lose)
			api := w.api
			run := func(ctx context.Context, i int) error {
				_, err := api.RunCampaign(ctx, &marketingv1.RunCampaignRequest{CampaignId: fmt.Sprint("campaign-", i)})
				return err
			}
			var all sync.WaitGroup
			for i := range campaigns {
				for range 2 { // each call comes twice, as from a caller that lost patience
					all.Go(func() { _ = run(keyed(fmt.Sprint("run ", i)), i) })
				}
			}
			all.Wait()
			w.restart()
			api = w.api
			for i := range campaigns {
				w.await("the run to be over", func() bool { return run(keyed(fmt.Sprint("run ", i)), i) == nil })
			}
			f.before.Store(nil)
			f.after.Store(nil)
			got := map[string]int{}
			for _, l := range w.issued() {
				got[l.GetCustomerId()]++
			}
			want := map[string]int{}
			for c := range spent {
				want[c] = most
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("leads of each customer (-want +got):\n%s", diff)
			}
		})
	}
}

// A run that was broken off by a crash is carried out without anybody asking again.
func TestARunThatWasBrokenOffIsCarriedOutByItself(t *testing.T) {
	f := &faulty{}
	w := started(t, f.options())
	w.define(sales("savings", "saving", 10000))
	w.defineCampaign("define", autumn())
	w.spend(map[string]int64{"anna": 9000, "bert": 9500})
	crash := w.crash
	var once sync.Once
	broken := func(stream string) error {
		if stream == "places-anna" {
			once.Do(crash)
			return errCrash
		}
		return nil
	}
	f.before.Store(&broken)
	if _, err := w.api.RunCampaign(keyed("monday"), &marketingv1.RunCampaignRequest{CampaignId: "autumn"}); err == nil {
		t.Fatal("the call succeeds although the process has ended")
	}
	f.before.Store(nil)
	w.restart()
	w.await("the leads", func() bool { return len(w.issued()) == 2 })
}

func TestScenarioMA6CampaignsRunByThemselvesAndAreStopped(t *testing.T) {
	w := started(t, memory.Options{})
	w.define(sales("savings", "saving", 10000))
	w.spend(map[string]int64{"anna": 9000, "bert": 9500})
	once := autumn()
	once.CampaignId, once.OnceAt = "once", timestamppb.New(time.Now().Add(-time.Minute))
	w.defineCampaign("once", once)
	triggered := autumn()
	triggered.CampaignId = "brochure"
	triggered.Trigger = &marketingv1.Trigger{Rule: `events include "brochure-taken"`, PeriodHours: 24}
	w.defineCampaign("brochure", triggered)
	daily := autumn()
	daily.CampaignId, daily.Schedule = "daily", "daily"
	w.defineCampaign("daily", daily)
	w.await("the leads of its time", func() bool { return len(w.issued()) == 2 })
	w.await("the look back", func() bool {
		resp, err := w.api.ListRuns(t.Context(), &marketingv1.ListRunsRequest{CampaignId: "brochure"})
		return err == nil && len(resp.GetRuns()) == 1 && resp.GetRuns()[0].GetEnd() == marketingv1.RunEnd_RUN_END_ISSUED
	})
	w.produce("contact-c1", "brochure", &channelv1.CommercialEventRecorded{ContactId: "c1", CustomerId: "anna", Kind: "brochure-taken", Version: 1, Data: "{}"})
	w.await("the lead of the trigger", func() bool { return len(w.issued()) == 3 })
	if l := w.issued()[2]; l.GetCustomerId() != "anna" || l.GetCampaignId() != "brochure" {
		t.Errorf("the trigger gives %v", l)
	}
	if _, err := w.api.StopCampaign(keyed("stop"), &marketingv1.StopCampaignRequest{CampaignId: "brochure"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.api.StopCampaign(keyed("stop"), &marketingv1.StopCampaignRequest{CampaignId: "brochure"}); err != nil {
		t.Errorf("to stop it again: %v", err)
	}
	resp, err := w.api.ListCampaigns(t.Context(), &marketingv1.ListCampaignsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range resp.GetCampaigns() {
		next := ""
		if c.GetNextRunAt() != nil {
			next = c.GetNextRunAt().AsTime().Format(" 15:04")
		}
		got = append(got, c.GetCampaign().GetCampaignId()+" "+c.GetState().String()+next)
	}
	want := []string{"brochure CAMPAIGN_STATE_STOPPED", "daily CAMPAIGN_STATE_LIVE 02:00", "once CAMPAIGN_STATE_LIVE"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("campaigns (-want +got):\n%s", diff)
	}
}

func TestCampaignsOfWhatIsNotThereAreRefused(t *testing.T) {
	w := started(t, memory.Options{})
	w.define(sales("savings", "saving", 10000))
	for name, tc := range map[string]struct {
		change func(*marketingv1.Campaign)
		want   codes.Code
	}{
		"an unknown segment":             {func(c *marketingv1.Campaign) { c.SegmentId = "nobody" }, codes.FailedPrecondition},
		"a trigger by one":               {func(c *marketingv1.Campaign) { c.Trigger = &marketingv1.Trigger{SegmentId: "nobody", PeriodHours: 1} }, codes.FailedPrecondition},
		"a cron expression that is none": {func(c *marketingv1.Campaign) { c.Schedule = "61 * * * *" }, codes.InvalidArgument},
		"a rule with a type error": {func(c *marketingv1.Campaign) {
			c.Trigger = &marketingv1.Trigger{Rule: "orders is granted", PeriodHours: 1}
		}, codes.InvalidArgument},
	} {
		c := autumn()
		tc.change(c)
		_, err := w.api.DefineCampaign(keyed(name), &marketingv1.DefineCampaignRequest{Campaign: c})
		if status.Code(err) != tc.want {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
	for name, call := range map[string]func() error{
		"to stop": func() error {
			_, err := w.api.StopCampaign(keyed("stop"), &marketingv1.StopCampaignRequest{CampaignId: "nobody"})
			return err
		},
		"to list the runs of": func() error {
			_, err := w.api.ListRuns(t.Context(), &marketingv1.ListRunsRequest{CampaignId: "nobody"})
			return err
		},
	} {
		if err := call(); status.Code(err) != codes.NotFound {
			t.Errorf("%s an unknown campaign: %v", name, err)
		}
	}
	_, err := w.api.ConfigureLeadCaps(keyed("caps"), &marketingv1.ConfigureLeadCapsRequest{LeadCaps: &marketingv1.LeadCaps{Caps: []*marketingv1.LeadCap{
		{Channel: journeyv1.Channel_CHANNEL_WEBSITE, Hours: 24, Most: 1}, {Hours: 0}, {Hours: 0},
	}}})
	if diff := cmp.Diff([]string{
		"lead_caps.caps[0].channel", "lead_caps.caps[1].hours", "lead_caps.caps[2].hours", "lead_caps.caps[2]",
	}, violated(err)); diff != "" {
		t.Errorf("violated fields (-want +got):\n%s", diff)
	}
}

// Caps are cleared by who says so, and by nobody who says nothing.
func TestCapsAreClearedOnPurposeOnly(t *testing.T) {
	w := started(t, memory.Options{})
	w.capLeads(&marketingv1.LeadCap{Hours: 24, Most: 1})
	caps := func() int {
		t.Helper()
		now, err := w.api.GetLeadCaps(t.Context(), &marketingv1.GetLeadCapsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return len(now.GetLeadCaps().GetCaps())
	}
	rest := func(method, body string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, w.rest+"/v1/lead-caps", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Idempotency-Key", method+body)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close() //nolint:errcheck // it was read
		said, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(said)
	}
	for _, body := range []string{``, `{}`, `{"caps": []}`} {
		if code, said := rest(http.MethodPut, body); code != http.StatusBadRequest || !strings.Contains(said, "DELETE /v1/lead-caps") {
			t.Errorf("%q: %d %s", body, code, said)
		}
	}
	for name, nothing := range map[string]*marketingv1.LeadCaps{"nothing": nil, "no caps": {}} {
		_, err := w.api.ConfigureLeadCaps(keyed(name), &marketingv1.ConfigureLeadCapsRequest{LeadCaps: nothing})
		if diff := cmp.Diff([]string{"lead_caps.caps"}, violated(err)); diff != "" {
			t.Errorf("%s: violated fields (-want +got):\n%s", name, diff)
		}
	}
	if caps() != 1 {
		t.Fatalf("%d caps, want the one that was configured", caps())
	}
	if code, said := rest(http.MethodDelete, ""); code != http.StatusOK || caps() != 0 {
		t.Errorf("%d %s, and %d caps", code, said, caps())
	}
	for range 2 { // again is nothing
		if _, err := w.api.ClearLeadCaps(keyed("clear"), &marketingv1.ClearLeadCapsRequest{}); err != nil {
			t.Error(err)
		}
	}
}
