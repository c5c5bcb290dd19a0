package campaign

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/marketing/internal/lead"
)

// crowd is campaigns that run at the same time over the same customers.
type crowd struct {
	t         *testing.T
	streams   *decider.Streams
	customers []string
	caps      []*marketingv1.LeadCap
	runs      []*marketingv1.CampaignRunPlanned
	stopped   string // the campaign that is stopped on the way

	mu     sync.Mutex
	random *rand.Rand
	burst  int // how many more appends fail
	calm   bool
}

// fail lets appends fail now and then, one or several in a row, as when a process
// ends between two of them and another one takes over.
func (c *crowd) fail(string, []eventlog.NewEvent) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.calm:
		return nil
	case c.burst > 0:
		c.burst--
	case c.random.IntN(30) == 0:
		c.burst = c.random.IntN(8)
	default:
		return nil
	}
	return errCrash
}

func (c *crowd) number(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.IntN(n)
}

func newCrowd(t *testing.T, seed uint64) *crowd {
	t.Helper()
	c := &crowd{t: t, random: rand.New(rand.NewPCG(seed, 1)), calm: true}
	encoder, err := codec.New(keyring.Memory())
	if err != nil {
		t.Fatal(err)
	}
	c.streams = &decider.Streams{Log: memory.New(memory.Options{BeforeAppend: c.fail, AfterAppend: c.fail}), Codec: encoder}
	for i := range 1 + c.number(6) {
		c.customers = append(c.customers, fmt.Sprint("customer ", i))
	}
	for range 1 + c.number(3) {
		c.caps = append(c.caps, &marketingv1.LeadCap{
			Channel: journeyv1.Channel([]int32{0, 2, 3}[c.number(3)]), Hours: uint32(1 + c.number(6)), Most: uint32(c.number(4)),
		})
	}
	c.append(lead.CapsStream, &marketingv1.LeadCapsConfigured{Caps: c.caps})
	for i := range 2 + c.number(4) {
		c.plan(fmt.Sprint("campaign ", i))
	}
	if c.number(2) == 0 {
		c.stopped = "campaign 0"
	}
	return c
}

// plan plans some runs of a campaign.
func (c *crowd) plan(campaign string) {
	d := &marketingv1.CampaignDefined{
		CampaignId: campaign, Channel: journeyv1.Channel(2 + c.number(2)), Priority: uint32(c.number(3)),
	}
	c.append(Stream(campaign), d)
	once := uint32(max(0, c.number(6)-3))
	for range 1 + c.number(3) {
		p := blank(d, fmt.Sprint("run ", len(c.runs)), noon.Add(time.Duration(c.number(8))*time.Hour))
		p.PeriodHours = once
		most := c.number(len(c.customers) + 1)
		for nth, i := range c.random.Perm(len(c.customers)) {
			switch {
			case nth < most:
				p.Customers = append(p.Customers, c.customers[i])
			case nth < 2*most:
				p.Reserves = append(p.Reserves, c.customers[i])
			}
		}
		c.append(RunStream(p.GetRunId()), p)
		c.runs = append(c.runs, p)
	}
}

func (c *crowd) append(stream string, m proto.Message) {
	c.t.Helper()
	origin := decider.Origin{Key: fmt.Sprintf("test %s %T", stream, m), Service: flows.Marketing, Time: noon}
	nothing := decider.Decider[int]{Initial: func() int { return 0 }, Evolve: func(n int, _ proto.Message) int { return n }}
	for {
		_, err := decider.Handle(c.t.Context(), c.streams, origin, stream, nothing,
			func(int) ([]proto.Message, error) { return []proto.Message{m}, nil })
		if err == nil {
			return
		}
		if !errors.Is(err, errCrash) {
			c.t.Fatal(err)
		}
	}
}

// play has all runs carried out, some of them together and by several at once, each
// again and again until it is over.
func (c *crowd) play() {
	c.mu.Lock()
	c.calm = false
	c.mu.Unlock()
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for range 8 {
				var ids []string
				for range 1 + c.number(3) {
					ids = append(ids, c.runs[c.number(len(c.runs))].GetRunId())
				}
				if err := CarryOut(c.t.Context(), c.streams, ids...); err != nil && !errors.Is(err, errCrash) {
					c.t.Error(err)
				}
			}
		})
	}
	if c.stopped != "" {
		all.Go(c.stop)
	}
	all.Wait()
	c.mu.Lock()
	c.calm = true
	c.mu.Unlock()
	for _, p := range c.runs {
		if err := CarryOut(c.t.Context(), c.streams, p.GetRunId()); err != nil {
			c.t.Error(err)
		}
	}
}

func (c *crowd) stop() {
	c.append(Stream(c.stopped), &marketingv1.CampaignStopped{CampaignId: c.stopped})
	for _, p := range c.runs {
		for p.GetCampaignId() == c.stopped {
			if err := stopRun(c.t.Context(), c.streams, p.GetRunId()); err == nil {
				break
			}
		}
	}
	c.append("stop is over", &marketingv1.CampaignStopped{CampaignId: "the call has answered"})
}

// claimed is a place as the checks know it: taken or held, and how firmly.
type claimed struct {
	campaign, customer string
	channel            journeyv1.Channel
	priority           uint32
	hour               int
	taken, gone        bool
}

// most is the naive count: of every stretch of so many hours, hour by hour, that
// holds an hour, the largest number of places in it.
func most(places []claimed, c *marketingv1.LeadCap, hour int) (n int) {
	for begin := hour - int(c.GetHours()) + 1; begin <= hour; begin++ {
		within := 0
		for _, p := range places {
			of := c.GetChannel() == 0 || c.GetChannel() == p.channel
			if of && begin <= p.hour && p.hour < begin+int(c.GetHours()) {
				within++
			}
		}
		n = max(n, within)
	}
	return n
}

func (c *crowd) check() (issued, refused, displaced, instead int) {
	c.t.Helper()
	byRun := map[string]*marketingv1.CampaignRunPlanned{}
	for _, p := range c.runs {
		byRun[p.GetRunId()] = p
	}
	places := map[string]*claimed{}
	leads, turnedAway := map[string]bool{}, map[string]bool{}
	stopAnswered := false
	for raw, err := range c.streams.Log.ReadAll(c.t.Context(), eventlog.Forward, nil, 0) {
		if err != nil {
			c.t.Fatal(err)
		}
		e, err := c.streams.Codec.Decode(c.t.Context(), raw)
		if err != nil {
			c.t.Fatal(err)
		}
		switch m := e.Message.(type) {
		case *marketingv1.LeadPlaceHeld:
			c.checkHeld(places, m)
			displaced += len(m.GetDisplaced())
		case *marketingv1.LeadPlaceRefused:
			c.checkRefused(places, m, byRun[m.GetRunId()])
			turnedAway[m.GetLeadId()] = true
			refused++
		case *marketingv1.LeadPlaceTaken:
			places[m.GetLeadId()].taken = true
		case *marketingv1.LeadPlaceReleased:
			if leads[m.GetLeadId()] {
				c.t.Errorf("the place of lead %s is given back, although it was issued", m.GetLeadId())
			}
			if p := places[m.GetLeadId()]; p != nil {
				p.gone = true
			}
		case *marketingv1.CampaignStopped:
			stopAnswered = stopAnswered || m.GetCampaignId() != c.stopped
		case *marketingv1.LeadIssued:
			if leads[m.GetLeadId()] {
				c.t.Errorf("lead %s is issued twice", m.GetLeadId())
			}
			if stopAnswered && m.GetCampaignId() == c.stopped {
				c.t.Errorf("lead %s is issued although its campaign was stopped", m.GetLeadId())
			}
			leads[m.GetLeadId()] = true
			issued++
		}
	}
	c.checkPlaces(places, leads)
	for id, p := range places {
		turnedAway[id] = turnedAway[id] || p.gone
	}
	return issued, refused, displaced, c.checkRuns(leads, turnedAway)
}

// firm are the places at a customer that no claim of a priority displaces.
func firm(places map[string]*claimed, customer string, priority uint32) (all []claimed) {
	for _, p := range places {
		if p.customer == customer && !p.gone && (p.taken || p.priority >= priority) {
			all = append(all, *p)
		}
	}
	return all
}

// checkHeld holds a place against the caps, and those it displaced: each was only
// held, by a lower priority, and the caps leave no room for it now.
func (c *crowd) checkHeld(places map[string]*claimed, m *marketingv1.LeadPlaceHeld) {
	c.t.Helper()
	if places[m.GetLeadId()] != nil {
		c.t.Errorf("lead %s gets two places", m.GetLeadId())
	}
	for _, id := range m.GetDisplaced() {
		p := places[id]
		if p.taken || p.gone || p.priority >= m.GetPriority() {
			c.t.Errorf("lead %s displaces %s, which is %+v", m.GetLeadId(), id, *p)
		}
		p.gone = true
	}
	places[m.GetLeadId()] = &claimed{
		campaign: m.GetCampaignId(), customer: m.GetCustomerId(), channel: m.GetChannel(), priority: m.GetPriority(),
		hour: int(m.GetAt().AsTime().Sub(noon).Hours()),
	}
	now := firm(places, m.GetCustomerId(), 0)
	for _, l := range c.caps {
		for _, p := range now {
			if n := most(now, l, p.hour); n > int(l.GetMost()) {
				c.t.Errorf("customer %s has %d places where %v holds", m.GetCustomerId(), n, l)
			}
		}
	}
	for _, id := range m.GetDisplaced() {
		if p := places[id]; !slices.ContainsFunc(c.caps, func(l *marketingv1.LeadCap) bool {
			return (l.GetChannel() == 0 || l.GetChannel() == p.channel) && most(append(now, *p), l, p.hour) > int(l.GetMost())
		}) {
			c.t.Errorf("lead %s displaces %s, although there is room for both", m.GetLeadId(), id)
		}
	}
}

// checkRefused wants the cap that left no place to be full of places that are taken,
// or held by no lower priority.
func (c *crowd) checkRefused(places map[string]*claimed, m *marketingv1.LeadPlaceRefused, p *marketingv1.CampaignRunPlanned) {
	c.t.Helper()
	hour := int(m.GetAt().AsTime().Sub(noon).Hours())
	if m.GetCap() == nil {
		for _, q := range firm(places, m.GetCustomerId(), 0) {
			if d := q.hour - hour; q.campaign == p.GetCampaignId() && max(d, -d) < int(p.GetPeriodHours()) {
				return
			}
		}
		c.t.Errorf("lead %s is refused, although its campaign has left the customer alone", m.GetLeadId())
		return
	}
	there := append(firm(places, m.GetCustomerId(), p.GetPriority()), claimed{channel: p.GetChannel(), hour: hour})
	if n := most(there, m.GetCap(), hour); n <= int(m.GetCap().GetMost()) {
		c.t.Errorf("lead %s is refused, although it would be one of %d under %v", m.GetLeadId(), n, m.GetCap())
	}
}

// checkPlaces wants each place to have its lead and each lead its place.
func (c *crowd) checkPlaces(places map[string]*claimed, leads map[string]bool) {
	c.t.Helper()
	for id, p := range places {
		if !p.gone && (!p.taken || !leads[id]) {
			c.t.Errorf("lead %s keeps a place for nothing: %+v, issued: %t", id, *p, leads[id])
		}
	}
	for id := range leads {
		if p := places[id]; p == nil || p.gone || !p.taken {
			c.t.Errorf("lead %s is issued without a place", id)
		}
	}
}

// checkRuns wants each run to be over, to have turned to its customers in their order,
// and to no more of them than it took to issue all its leads, and to have told how many
// got none. It counts the leads that went to who came next.
func (c *crowd) checkRuns(leads, turnedAway map[string]bool) (instead int) {
	c.t.Helper()
	for _, p := range c.runs {
		s, _, err := decider.Load(c.t.Context(), c.streams, RunStream(p.GetRunId()), RunDecider)
		if err != nil {
			c.t.Fatal(err)
		}
		switch {
		case s.Ended == nil:
			c.t.Errorf("%s is not over", p.GetRunId())
			continue
		case s.Ended.GetEnd() == marketingv1.RunEnd_RUN_END_STOPPED:
			if p.GetCampaignId() != c.stopped || len(s.Leads) != 0 {
				c.t.Errorf("%s was stopped, and issued %d leads", p.GetRunId(), len(s.Leads))
			}
			continue
		}
		issued, passed := 0, 0
		for nth, customer := range slices.Concat(p.GetCustomers(), p.GetReserves()) {
			id := LeadID(p.GetRunId(), customer)
			switch room := issued < len(p.GetCustomers()); {
			case room && leads[id]:
				issued++
				if nth >= len(p.GetCustomers()) {
					instead++
				}
			case room && turnedAway[id]:
				passed++
			case room:
				c.t.Errorf("%s has room for %s, and did not turn to them", p.GetRunId(), customer)
			case leads[id] || turnedAway[id]:
				c.t.Errorf("%s has turned to %s, although all its leads went to others", p.GetRunId(), customer)
			}
		}
		if int(s.Ended.GetLeads()) != issued || len(s.Leads) != issued || int(s.Ended.GetCapped()) != passed {
			c.t.Errorf("%s tells of %d leads and %d capped, and issued %d; want %d and %d",
				p.GetRunId(), s.Ended.GetLeads(), s.Ended.GetCapped(), len(s.Leads), issued, passed)
		}
	}
	return instead
}

// Campaigns run at the same time, over the same customers, carried out by several
// processes that die between any two appends, while one of them is stopped. Then:
//
//   - No customer has more places than a cap allows, in any hours that it bounds, at
//     any moment, and so no more leads.
//   - Who was refused was refused by a cap that was full of places taken, or held by
//     no lower priority; who was displaced was displaced by a higher priority, and
//     only where there was no room for both. So a place goes to the highest priority
//     that claims it before it is taken.
//   - Each place that is not given back has its lead, and each lead its place: no
//     place is left unused that another campaign could have had.
//   - A run that loses customers turns to those who come next, in their order, up to as
//     many as it may issue leads, and to nobody else.
//   - No lead is issued twice, and none of a campaign whose stop has been confirmed.
func TestCapsHoldWhateverRunsAtOnceAndDies(t *testing.T) {
	pgtest.Once(t)
	const seeds = 400
	var issued, refused, displaced, instead int
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			c := newCrowd(t, seed)
			c.play()
			i, r, d, n := c.check()
			issued, refused, displaced, instead = issued+i, refused+r, displaced+d, instead+n
			if err := c.streams.Log.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Logf("%d leads issued, %d to who came next, %d refused, %d displaced", issued, instead, refused, displaced)
	if issued == 0 || refused == 0 || displaced == 0 || instead == 0 {
		t.Errorf("%d leads issued, %d to who came next, %d refused, %d displaced: want some of each", issued, instead, refused, displaced)
	}
}
