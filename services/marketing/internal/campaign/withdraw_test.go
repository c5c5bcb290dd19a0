package campaign

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/marketing/internal/response"
)

// withdrawn lists the customers whose leads were withdrawn, by campaign, in order. It
// wants each lead to be issued first, and withdrawn once.
func (w *office) withdrawn() string {
	w.t.Helper()
	by := map[string][]string{}
	issued := map[string]bool{}
	for _, e := range w.events() {
		switch m := e.Message.(type) {
		case *marketingv1.LeadIssued:
			issued[m.GetLeadId()] = true
		case *marketingv1.LeadWithdrawn:
			if !issued[m.GetLeadId()] {
				w.t.Errorf("lead %s of %s is withdrawn twice, or was never issued", m.GetLeadId(), m.GetCustomerId())
			}
			delete(issued, m.GetLeadId())
			by[m.GetCampaignId()] = append(by[m.GetCampaignId()], m.GetCustomerId())
		}
	}
	var lines []string
	for campaign, customers := range by {
		lines = append(lines, campaign+": "+strings.Join(customers, " "))
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

func (w *office) wantWithdrawn(what, leads string) {
	w.t.Helper()
	if got := w.withdrawn(); got != leads {
		w.t.Errorf("%s: withdrawn are %q, want %q", what, got, leads)
	}
}

// lead is the lead that a campaign issued to a customer last.
func (w *office) lead(campaign, customer string) (id string) {
	w.t.Helper()
	for _, e := range w.events() {
		if m, ok := e.Message.(*marketingv1.LeadIssued); ok && m.GetCampaignId() == campaign && m.GetCustomerId() == customer {
			id = m.GetLeadId()
		}
	}
	return id
}

// presented notes that a lead is known to be sent, answered that it was answered.
func (w *office) presented(campaign, customer string) {
	w.t.Helper()
	id := w.lead(campaign, customer)
	w.happened(response.Stream(id), &marketingv1.LeadPresented{LeadId: id, CustomerId: customer})
}

func (w *office) answered(campaign, customer string) {
	w.t.Helper()
	id := w.lead(campaign, customer)
	w.happened(response.Stream(id), &marketingv1.LeadResponseRecorded{LeadId: id, CustomerId: customer, Answer: journeyv1.Answer_ANSWER_REJECTED})
}

func TestScenarioMA6AStoppedCampaignWithdrawsItsLeads(t *testing.T) {
	w := newOffice(t)
	w.order("anna", "bert", "carol", "dora")
	w.define(&marketingv1.Campaign{CampaignId: "autumn", Schedule: "daily"})
	w.define(&marketingv1.Campaign{CampaignId: "winter", Schedule: "daily"})
	w.pass(24 * time.Hour)
	w.presented("autumn", "anna")
	w.answered("autumn", "dora")
	w.pass(time.Hour)
	w.wantWithdrawn("as long as it runs", "")
	w.stop("autumn")
	w.pass(time.Minute)
	w.wantWithdrawn("those that nobody has heard of, and of no other campaign", "autumn: bert carol")
	resp, err := w.api().ListRuns(t.Context(), &marketingv1.ListRunsRequest{CampaignId: "autumn"})
	if err != nil || len(resp.GetRuns()) != 1 || resp.GetRuns()[0].GetWithdrawn() != 2 || resp.GetRuns()[0].GetLeads() != 4 {
		t.Errorf("its runs are %v (%v)", resp, err)
	}

	// Defined again it goes on; what was withdrawn stays so, and what is issued now is not.
	w.reopen()
	w.define(&marketingv1.Campaign{CampaignId: "autumn", Schedule: "daily", MaxLeads: 1})
	w.pass(24 * time.Hour)
	w.wantWithdrawn("when it has run again", "autumn: bert carol")
	w.stop("autumn")
	w.pass(time.Minute)
	w.wantWithdrawn("stopped again, the lead of its second run", "autumn: bert carol anna")
	w.stop("autumn")
	w.reopen()
	w.pass(time.Minute)
	w.wantWithdrawn("stopped once more", "autumn: bert carol anna")

	// Defined again before the runner came to it: what was issued before is withdrawn all
	// the same.
	w.stop("winter")
	w.define(&marketingv1.Campaign{CampaignId: "winter", Schedule: "daily", MaxLeads: 1})
	w.pass(time.Minute)
	w.wantWithdrawn("of two runs, the latest first", "autumn: bert carol anna; winter: anna bert carol dora anna bert carol dora")
}

// A campaign is said to be stopped at each point of a run that is not told so: whatever
// it issues none the less is withdrawn.
func TestScenarioMA6WhatIsIssuedWhileACampaignIsStoppedIsWithdrawn(t *testing.T) {
	issued := 0
	for n := 1; n < 10; n++ {
		t.Run(fmt.Sprint("before append ", n), func(t *testing.T) {
			w := newOffice(t)
			w.order("anna", "bert")
			w.define(&marketingv1.Campaign{CampaignId: "autumn", OnceAt: timestamppb.New(w.now)})
			w.follow()
			appends := 0
			fault := func(when, _ string) error {
				if when == "before" {
					appends++
				}
				if when == "before" && appends == n {
					w.fault.Store(nil)
					w.happened(Stream("autumn"), &marketingv1.CampaignStopped{
						CampaignId: "autumn", StoppedAt: timestamppb.New(w.now), IssuedLeads: marketingv1.IssuedLeads_ISSUED_LEADS_WITHDRAWN,
					})
				}
				return nil
			}
			serial := sequentially(&fault)
			w.fault.Store(&serial)
			if _, err := w.runner.Round(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.fault.Store(nil)
			w.pass(time.Minute)
			stopped := appends >= n
			if stopped {
				w.wantWithdrawn("all that was issued", w.leads())
			}
			if stopped && w.leads() != "" {
				issued++
			}
		})
	}
	if issued == 0 {
		t.Error("nothing was ever issued: it shows little")
	}
}

// The process ends at each append, before and after it is in the log, and begins again
// with empty hands: each lead is withdrawn once.
func TestACrashOfTheRunnerWithdrawsEachLeadOnce(t *testing.T) {
	const want = "autumn: anna bert anna carol"
	play := func(t *testing.T, crashAt int, when string) (crashed bool) {
		w := newOffice(t)
		w.order("anna", "bert", "carol")
		w.define(&marketingv1.Campaign{CampaignId: "autumn", Schedule: "daily", MaxLeads: 2})
		w.pass(24 * time.Hour)
		w.order("carol", "carol")
		w.pass(24 * time.Hour)
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
		w.stop("autumn")
		serial := sequentially(&fault)
		w.fault.Store(&serial)
		for range 3 {
			w.follow()
			if _, err := w.runner.Round(t.Context()); err != nil {
				if !dead {
					t.Fatal(err)
				}
				dead = false
				w.reopen()
			}
		}
		w.fault.Store(nil)
		got := strings.Fields(strings.TrimPrefix(w.withdrawn(), "autumn: "))
		slices.Sort(got)
		if diff := gocmp.Diff([]string{"anna", "anna", "bert", "carol"}, got); diff != "" {
			t.Errorf("withdrawn are %q, want %q", got, want)
		}
		return crashed
	}
	for _, when := range []string{"before", "after"} {
		for n := 1; ; n++ {
			var crashed bool
			t.Run(fmt.Sprint(when, " append ", n), func(t *testing.T) { crashed = play(t, n, when) })
			if !crashed {
				if n != 3 { // an append for each of two runs
					t.Errorf("%d appends withdraw the leads of two runs", n-1)
				}
				break
			}
		}
	}
}

// Read first, write later: as long as a build may run that can't read it, no lead is
// withdrawn, and the event says so. Once the type is active, to stop it again does.
func TestLeadsAreWithdrawnOnceEveryBuildReadsIt(t *testing.T) {
	flows.Gated = []string{"marketing.v1.LeadWithdrawn"}
	t.Cleanup(func() { flows.Gated = nil })
	w := newOffice(t)
	active := false
	w.streams.Codec = w.streams.Codec.WriteOnceActive(func(schema string) bool { return active && schema == "marketing.v1.LeadWithdrawn" })
	w.order("anna")
	w.define(&marketingv1.Campaign{CampaignId: "autumn", OnceAt: timestamppb.New(w.now)})
	w.pass(time.Minute)
	w.stop("autumn")
	w.pass(time.Minute)
	w.wantWithdrawn("before it is active", "")
	active = true
	w.pass(time.Minute)
	w.wantWithdrawn("what was stopped before stays as it was said", "")
	w.stop("autumn")
	w.pass(time.Minute)
	w.wantWithdrawn("stopped once more", "autumn: anna")
}

// Several processes withdraw the leads of a campaign at the same time, over a store
// that fails, while some are heard of: each lead is withdrawn once, or known.
func TestLeadsAreWithdrawnOnceWhoeverDoesIt(t *testing.T) {
	pgtest.Once(t)
	var withdrawn, kept int
	for seed := range uint64(200) {
		c := newCrowd(t, seed)
		c.stopped = ""
		c.play()
		leads := map[string]int{}
		for _, e := range c.leads() {
			leads[e.GetLeadId()] = 0
		}
		known := map[string]bool{}
		for id := range leads {
			if c.number(3) == 0 {
				c.append(response.Stream(id), &marketingv1.LeadPresented{LeadId: id})
				known[id] = true
			}
		}
		for _, p := range c.runs {
			c.append(Stream(p.GetCampaignId()), &marketingv1.CampaignStopped{
				CampaignId: p.GetCampaignId(), IssuedLeads: marketingv1.IssuedLeads_ISSUED_LEADS_WITHDRAWN,
			})
		}
		c.withdraw()
		for _, raw := range c.all() {
			if m, ok := raw.Message.(*marketingv1.LeadWithdrawn); ok {
				leads[m.GetLeadId()]++
			}
		}
		for id, n := range leads {
			if n > 1 || (n == 1) == known[id] {
				t.Errorf("seed %d: lead %s is withdrawn %d times, and known to be sent: %t", seed, id, n, known[id])
			}
			withdrawn += n
		}
		kept += len(known)
		if err := c.streams.Log.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d leads withdrawn, %d known to be sent", withdrawn, kept)
	if withdrawn == 0 || kept == 0 {
		t.Error("it shows little")
	}
}

// withdraw has several processes withdraw the leads of all runs, each until it meets no
// error.
func (c *crowd) withdraw() {
	c.mu.Lock()
	c.calm = false
	c.mu.Unlock()
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for _, p := range c.runs {
				for {
					err := withdrawRun(c.t.Context(), c.streams, p.GetCampaignId(), p.GetRunId())
					if err == nil {
						break
					}
					if !errors.Is(err, errCrash) {
						c.t.Error(err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	c.mu.Lock()
	c.calm = true
	c.mu.Unlock()
}

// all are the events of the log.
func (c *crowd) all() (events []codec.Event) {
	c.t.Helper()
	for raw, err := range c.streams.Log.ReadAll(c.t.Context(), eventlog.Forward, nil, 0) {
		if err != nil {
			c.t.Fatal(err)
		}
		e, err := c.streams.Codec.Decode(c.t.Context(), raw)
		if err != nil {
			c.t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

// leads are those that were issued.
func (c *crowd) leads() (issued []*marketingv1.LeadIssued) {
	c.t.Helper()
	for _, e := range c.all() {
		if m, ok := e.Message.(*marketingv1.LeadIssued); ok {
			issued = append(issued, m)
		}
	}
	return issued
}
