package campaign

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
)

func TestAScheduleIsDueByTheWallClock(t *testing.T) {
	const night = "CRON_TZ=Europe/Amsterdam 30 2 * * *"
	for name, tc := range map[string]struct {
		schedule, since, now, last, next string
	}{
		"not before it was defined":              {night, "2026-11-21T12:00:00Z", "2026-11-21T12:00:01Z", "", "2026-11-22T01:30:00Z"},
		"due since":                              {night, "2026-11-21T12:00:00Z", "2026-11-22T01:30:00Z", "2026-11-22T01:30:00Z", "2026-11-23T01:30:00Z"},
		"missed ones are one":                    {night, "2026-11-21T12:00:00Z", "2026-11-29T00:00:00Z", "2026-11-28T01:30:00Z", "2026-11-29T01:30:00Z"},
		"skipped in spring, at the change":       {night, "2026-03-01T12:00:00Z", "2026-03-29T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"},
		"twice in autumn, the first time":        {night, "2026-10-01T12:00:00Z", "2026-10-25T12:00:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
		"twice in autumn, not the second time":   {night, "2026-10-01T12:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
		"a working day in its own time zone":     {"CRON_TZ=America/New_York 0 22 * * 5", "2026-11-01T12:00:00Z", "2026-11-21T12:00:00Z", "2026-11-21T03:00:00Z", "2026-11-28T03:00:00Z"},
		"never yet, as it was defined just then": {"weekly", "2026-11-23T02:00:00Z", "2026-11-23T02:00:00Z", "", "2026-11-30T02:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			last, next, err := times(&marketingv1.CampaignDefined{Schedule: tc.schedule, TimedSince: timestamppb.New(parse(t, tc.since))}, parse(t, tc.now))
			if err != nil {
				t.Fatal(err)
			}
			if !last.Equal(parse(t, tc.last)) || !next.Equal(parse(t, tc.next)) {
				t.Errorf("due last at %s, want %s; next at %s, want %s", last, tc.last, next, tc.next)
			}
		})
	}
}

func parse(t *testing.T, text string) (at time.Time) {
	t.Helper()
	if text == "" {
		return at
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestScenarioMA6ACampaignRunsOnceAtItsTime(t *testing.T) {
	w := newOffice(t)
	w.order("anna", "bert")
	later := &marketingv1.Campaign{CampaignId: "later", OnceAt: timestamppb.New(w.now.Add(time.Hour))}
	w.define(later)
	w.define(&marketingv1.Campaign{CampaignId: "past", OnceAt: timestamppb.New(w.now.Add(-time.Hour))})
	w.pass(time.Minute)
	w.want("a time that has passed means at once", "past: anna bert")
	w.pass(2 * time.Hour)
	w.want("at its time", "later: anna bert; past: anna bert")
	w.reopen()
	w.define(later)
	w.pass(24 * time.Hour)
	w.want("not again", "later: anna bert; past: anna bert")
}

func TestScenarioMA6ARecurringCampaignMakesUpForMissedRunsOnce(t *testing.T) {
	w := newOffice(t)
	w.order("anna")
	w.define(&marketingv1.Campaign{CampaignId: "daily", Schedule: "daily"})
	w.pass(time.Hour)
	w.want("what was due before it was defined is not made up for", "")
	w.pass(24 * time.Hour)
	w.reopen()
	w.pass(4 * 24 * time.Hour)
	w.order("bert")
	w.pass(24 * time.Hour)
	if diff := gocmp.Diff([]string{
		"2026-11-22T02:00 issued: 1 eligible, 0 capped, 1 leads",
		"2026-11-26T02:00 issued: 1 eligible, 0 capped, 1 leads",
		"2026-11-27T02:00 issued: 2 eligible, 0 capped, 2 leads",
	}, w.runs("daily")); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	w.now = w.now.Add(-36 * time.Hour)
	w.pass(0)
	if n := len(w.runs("daily")); n != 3 {
		t.Errorf("a clock that is set back brings %d runs", n-3)
	}
}

// A campaign that can't run as it is defined says so in its run, and does not keep
// others from running.
func TestScenarioMA6ARunThatCannotBeMadeSaysWhy(t *testing.T) {
	w := newOffice(t)
	w.order("anna")
	w.define(&marketingv1.Campaign{CampaignId: "broken", Schedule: "daily", Channel: journeyv1.Channel_CHANNEL_PRINT, Priority: 9})
	w.define(&marketingv1.Campaign{CampaignId: "sound", Schedule: "daily"})
	w.happened("proposition-savings", &marketingv1.PropositionDefined{
		PropositionId: "savings", Contents: []*marketingv1.Content{{Channel: journeyv1.Channel_CHANNEL_EMAIL, Text: "Save!"}},
	})
	w.pass(24 * time.Hour)
	w.want("the other one runs", "sound: anna")
	if diff := gocmp.Diff([]string{
		"2026-11-22T02:00 failed: 0 eligible, 0 capped, 0 leadsproposition savings has no content for CHANNEL_PRINT",
	}, w.runs("broken")); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
}

func TestScenarioMA6PriorityDecidesWhoGetsTheLastPlace(t *testing.T) {
	w := newOffice(t)
	w.order("anna", "bert")
	w.cap(&marketingv1.LeadCap{Hours: 48, Most: 1})
	w.define(&marketingv1.Campaign{CampaignId: "a-low", Schedule: "daily", Priority: 1})
	w.define(&marketingv1.Campaign{CampaignId: "b-high", Schedule: "daily", Priority: 5, MaxLeads: 1})
	w.pass(24 * time.Hour)
	w.want("on the first day", "a-low: bert; b-high: anna")
	w.pass(24 * time.Hour)
	w.want("on the second, nobody has a place", "a-low: bert; b-high: anna")
	if diff := gocmp.Diff([]string{
		"2026-11-22T02:00 issued: 2 eligible, 1 capped, 1 leads", "2026-11-23T02:00 issued: 2 eligible, 2 capped, 0 leads",
	}, w.runs("a-low")); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
}

func TestScenarioMA6ARunThatLosesACustomerTakesTheNextBest(t *testing.T) {
	w := newOffice(t)
	w.order("anna", "anna", "anna", "bert", "bert", "carol", "dave")
	w.cap(&marketingv1.LeadCap{Hours: 48, Most: 1})
	w.define(&marketingv1.Campaign{CampaignId: "a-low", Schedule: "daily", Priority: 1, MaxLeads: 2})
	w.define(&marketingv1.Campaign{CampaignId: "b-high", Schedule: "daily", Priority: 5, MaxLeads: 1})
	w.pass(24 * time.Hour)
	w.want("both want anna most", "a-low: bert carol; b-high: anna")
	if diff := gocmp.Diff([]string{"2026-11-22T02:00 issued: 4 eligible, 1 capped, 2 leads"}, w.runs("a-low")); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
}

func TestScenarioMA6ATriggerApproachesWhoComesToSatisfyARule(t *testing.T) {
	w := newOffice(t)
	w.order("anna", "bert", "carol")
	w.interest("anna", "jazz")
	w.define(&marketingv1.Campaign{CampaignId: "jazz", Trigger: &marketingv1.Trigger{Rule: `interests include "jazz" and open_complaints = 0`, PeriodHours: 72}})
	w.pass(time.Minute)
	w.want("who satisfied it before is not approached", "")
	w.interest("bert", "Jazz")
	w.pass(time.Minute)
	w.want("bert comes to satisfy it", "jazz: bert")
	w.reopen()
	w.interest("bert", "jazz")
	w.pass(96 * time.Hour)
	w.want("he goes on to do so", "jazz: bert")

	// He leaves and comes back: once within the period, once after it.
	complaint := func(customer string, status journeyv1.RequestStatus) {
		w.told(&salesv1.RequestStatusChanged{
			RequestId: "r of " + customer, CustomerId: customer, Kind: journeyv1.RequestKind_REQUEST_KIND_COMPLAINT, Status: status,
		})
	}
	w.interest("carol", "jazz")
	w.pass(time.Minute)
	for _, c := range []string{"bert", "carol"} {
		complaint(c, journeyv1.RequestStatus_REQUEST_STATUS_OPEN)
	}
	w.pass(time.Minute)
	for _, c := range []string{"bert", "carol"} {
		complaint(c, journeyv1.RequestStatus_REQUEST_STATUS_DONE)
	}
	w.pass(time.Minute)
	w.want("carol was approached just now, bert days ago", "jazz: bert carol bert")

	// Another rule begins anew: who satisfies it now is not approached.
	w.define(&marketingv1.Campaign{CampaignId: "jazz", Trigger: &marketingv1.Trigger{Rule: `orders >= 1`, PeriodHours: 1}})
	w.pass(2 * time.Hour)
	w.order("dora")
	w.pass(time.Minute)
	w.want("only dora is new", "jazz: bert carol bert dora")
}

func TestScenarioMA6TimeAloneBringsACustomerToSatisfyARule(t *testing.T) {
	w := newOffice(t)
	w.order("anna", "bert")
	w.interest("anna", "jazz")
	w.interest("bert", "jazz")
	w.define(&marketingv1.Campaign{CampaignId: "quiet", Trigger: &marketingv1.Trigger{Rule: `events exclude "interest-shown" within 2 days`, PeriodHours: 24}})
	w.pass(24 * time.Hour)
	w.interest("bert", "jazz")
	w.want("both were heard of lately", "")
	again, err := w.runner.Round(t.Context())
	if err != nil || again.IsZero() || again.After(w.now.Add(mostPause)) {
		t.Errorf("it looks again at %s, although nothing may happen until then (%v)", again, err)
	}
	w.pass(25 * time.Hour)
	w.want("anna was not, for two days", "quiet: anna")
	w.pass(24 * time.Hour)
	w.want("nor bert, by then", "quiet: anna bert")
}

func TestScenarioMA6ATriggerFollowsASegment(t *testing.T) {
	w := newOffice(t)
	w.order("anna", "bert")
	w.happened("segment-good", &marketingv1.SegmentDefined{SegmentId: "good", Name: "Good", Rule: "orders >= 2"})
	w.define(&marketingv1.Campaign{CampaignId: "thanks", MaxLeads: 1, Trigger: &marketingv1.Trigger{SegmentId: "good", PeriodHours: 1}})
	w.pass(time.Minute)
	w.order("anna", "bert")
	w.pass(time.Minute)
	w.want("both enter; each look issues one lead", "thanks: anna bert")
	// The segment is what it is when it is looked at.
	w.order("carol")
	w.happened("segment-good", &marketingv1.SegmentDefined{SegmentId: "good", Name: "Good", Rule: "orders >= 1"})
	w.pass(time.Minute)
	w.want("carol belongs to it by the new rule", "thanks: anna bert carol")
}

func TestScenarioMA6ATriggerAnswersAnEvent(t *testing.T) {
	w := newOffice(t)
	w.order("anna", "bert")
	brochure := func(customer string) {
		w.calls++
		w.told(&channelv1.CommercialEventRecorded{ContactId: fmt.Sprint("contact ", w.calls), CustomerId: customer, Kind: "brochure-taken"})
	}
	brochure("anna")
	w.now = w.now.Add(time.Minute)
	w.define(&marketingv1.Campaign{CampaignId: "brochure", Trigger: &marketingv1.Trigger{Event: "brochure-taken", PeriodHours: 24}})
	w.pass(time.Minute)
	w.want("what happened before counts for nothing", "")
	brochure("bert")
	brochure("nobody whom CRM has told of")
	w.pass(time.Minute)
	w.want("bert takes one", "brochure: bert")
	brochure("bert")
	w.pass(time.Hour)
	w.reopen()
	w.pass(48 * time.Hour)
	w.want("and another on the same day, which is not made up for", "brochure: bert")
	brochure("bert")
	w.pass(time.Minute)
	w.want("and one days later", "brochure: bert bert")
}

func TestScenarioMA6TheGatesHoldForCampaigns(t *testing.T) {
	w := newOffice(t)
	w.order("anna", "bert", "carol", "dora", "eve")
	w.told(
		&salesv1.ConsentChanged{CustomerId: "anna", Consent: journeyv1.Consent_CONSENT_WITHDRAWN},
		&salesv1.RequestStatusChanged{RequestId: "r", CustomerId: "bert", Kind: journeyv1.RequestKind_REQUEST_KIND_COMPLAINT, Status: journeyv1.RequestStatus_REQUEST_STATUS_OPEN},
		&channelv1.PropositionAnswered{ContactId: "c", CustomerId: "carol", PropositionId: "savings", Answer: journeyv1.Answer_ANSWER_ACCEPTED},
	)
	for range 3 {
		w.told(&channelv1.PropositionPresented{ContactId: "d", CustomerId: "dora", PropositionId: "savings"})
	}
	w.define(&marketingv1.Campaign{CampaignId: "autumn", OnceAt: timestamppb.New(w.now)})
	w.pass(time.Minute)
	w.want("who objects, complains, has it already or has heard of it enough is left out", "autumn: eve")
}

// stop stops a campaign, while the tables follow the log.
func (w *office) stop(campaign string) {
	w.t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := w.api().StopCampaign(context.Background(), &marketingv1.StopCampaignRequest{CampaignId: campaign})
		done <- err
	}()
	for {
		w.follow()
		select {
		case err := <-done:
			if err != nil {
				w.t.Error(err)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// A campaign is stopped at each point of a run. Once the call has answered, nothing
// is issued any more, and no place stays taken that another campaign could have.
func TestScenarioMA6AStoppedCampaignIssuesNothingMore(t *testing.T) {
	for n := 1; ; n++ {
		over := false
		t.Run(fmt.Sprint("before append ", n), func(t *testing.T) {
			w := newOffice(t)
			w.order("anna", "bert")
			w.cap(&marketingv1.LeadCap{Hours: 24, Most: 1})
			w.define(&marketingv1.Campaign{CampaignId: "autumn", OnceAt: timestamppb.New(w.now), Priority: 5})
			w.follow()
			appends, stopped := 0, false
			fault := func(when, _ string) error {
				if when == "before" {
					appends++
				}
				if appends == n && !stopped {
					stopped = true
					w.fault.Store(nil)
					w.stop("autumn")
				}
				return nil
			}
			serial := sequentially(&fault)
			w.fault.Store(&serial)
			if _, err := w.runner.Round(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.fault.Store(nil)
			over = !stopped
			w.pass(time.Minute)
			if stopped && w.leads() != "" {
				t.Errorf("issued after it was stopped: %s", w.leads())
			}
			_, err := w.api().RunCampaign(t.Context(), &marketingv1.RunCampaignRequest{CampaignId: "autumn"})
			if stopped && err == nil {
				t.Error("a stopped campaign runs")
			}
			if stopped {
				w.define(&marketingv1.Campaign{CampaignId: "winter", OnceAt: timestamppb.New(w.now), Priority: 1})
				w.pass(time.Minute)
				w.want("the places are free", "winter: anna bert")
			}
		})
		if over || n > 100 {
			if n < 6 {
				t.Errorf("a run has %d appends", n-1)
			}
			return
		}
	}
}

var errCrash = errors.New("the process has ended")

// The process ends at each append, before and after it is in the log, and begins
// again with empty hands: the leads are those of an undisturbed world.
func TestACrashOfTheRunnerLeavesNoTrace(t *testing.T) {
	play := func(t *testing.T, crashAt int, when string) (leads string, crashed bool) {
		w := newOffice(t)
		w.order("anna", "bert", "carol")
		w.cap(&marketingv1.LeadCap{Hours: 24, Most: 1})
		w.define(&marketingv1.Campaign{CampaignId: "daily", Schedule: "daily", Priority: 1, MaxLeads: 2})
		w.define(&marketingv1.Campaign{CampaignId: "jazz", Priority: 5, Trigger: &marketingv1.Trigger{Rule: `interests include "jazz"`, PeriodHours: 12}})
		appends, dead := 0, false
		fault := func(now, _ string) error {
			if now == when && !crashed {
				if appends++; appends == crashAt {
					crashed, dead = true, true
				}
			}
			if dead {
				return errCrash
			}
			return nil
		}
		serial := sequentially(&fault)
		w.fault.Store(&serial)
		step := func(d time.Duration) {
			w.now = w.now.Add(d)
			for quiet := 0; quiet < 2; {
				before := len(w.events())
				w.follow()
				if _, err := w.runner.Round(t.Context()); err != nil {
					if !dead {
						t.Fatal(err)
					}
					dead = false
					w.reopen()
				}
				w.follow()
				w.now = w.now.Add(leastPause)
				if len(w.events()) == before {
					quiet++
				} else {
					quiet = 0
				}
			}
		}
		step(time.Minute)
		w.interest("carol", "jazz")
		step(13 * time.Hour)
		w.interest("anna", "jazz")
		step(24 * time.Hour)
		w.fault.Store(nil)
		return w.leads(), crashed
	}
	// On the last day both want anna; the trigger's campaign has the higher priority, and
	// the other one turns to carol in her place.
	const want = "daily: bert carol; jazz: carol anna"
	if got, _ := play(t, 0, "before"); got != want {
		t.Fatalf("undisturbed, leads are %q, want %q", got, want)
	}
	for _, when := range []string{"before", "after"} {
		for n := 1; ; n++ {
			var crashed bool
			t.Run(fmt.Sprint(when, " append ", n), func(t *testing.T) {
				var got string
				if got, crashed = play(t, n, when); got != want {
					t.Errorf("leads are %q, want %q", got, want)
				}
			})
			if !crashed {
				break
			}
		}
	}
}
