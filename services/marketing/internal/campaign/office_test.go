package campaign

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/keyring"
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

// office is campaigns on a log in memory and tables of their own, at a clock that
// stands until it is moved.
type office struct {
	t       *testing.T
	log     *memory.Log
	streams *decider.Streams
	ring    keyring.Ring
	db      *projection.DB
	now     time.Time
	calls   int
	shown   eventlog.Position // how far the tables have come
	runner  *Runner

	// fault, when set, is asked before and after each append.
	fault atomic.Pointer[func(when, stream string) error]
}

func newOffice(t *testing.T) *office {
	t.Helper()
	w := &office{t: t, now: noon, ring: keyring.Memory()}
	hook := func(when string) func(string, []eventlog.NewEvent) error {
		return func(stream string, _ []eventlog.NewEvent) error {
			if fault := w.fault.Load(); fault != nil {
				return (*fault)(when, stream)
			}
			return nil
		}
	}
	w.log = memory.New(memory.Options{BeforeAppend: hook("before"), AfterAppend: hook("after")})
	c, err := codec.New(w.ring)
	if err != nil {
		t.Fatal(err)
	}
	w.streams = &decider.Streams{Log: w.log, Codec: c}
	if w.db, err = projection.Open(t.Context(), pgtest.Somewhere(t), "marketing"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.db.Close(); err != nil {
			t.Error(err)
		}
		if err := w.log.Close(); err != nil {
			t.Error(err)
		}
	})
	own := projection.Schema{
		Name: "own", Version: 1,
		Tables: slices.Concat(proposition.Tables, arbitration.Tables, segment.Tables, Tables, lead.Tables),
	}
	if err := w.db.Create(t.Context(), facts.Schema, complaint.Schema, nba.Schema, own); err != nil {
		t.Fatal(err)
	}
	w.reopen()
	w.happened("proposition-savings", &marketingv1.PropositionDefined{
		PropositionId: "savings", Name: "Savings", Purpose: marketingv1.Purpose_PURPOSE_SALES, Topic: "saving", Lever: 1,
		Contents: []*marketingv1.Content{
			{Channel: journeyv1.Channel_CHANNEL_EMAIL, Text: "Save!"}, {Channel: journeyv1.Channel_CHANNEL_PRINT, Text: "Save."},
		},
	})
	w.follow()
	return w
}

// reopen is a new process: it remembers nothing.
func (w *office) reopen() {
	w.runner = &Runner{Streams: w.streams, DB: w.db, Now: func() time.Time { return w.now }}
}

func (w *office) api() *API {
	return &API{
		Streams: w.streams, DB: w.db, Now: func() time.Time { return w.now },
		Freshness: func(...string) []*flowv1.Freshness { return nil },
		Origins: func(_ context.Context, method string, request proto.Message) (decider.Origin, error) {
			w.calls++
			return decider.CallOrigin(w.ring, flows.Marketing, method, fmt.Sprint("call ", w.calls), request, w.now)
		},
	}
}

// happened appends an event of marketing's own.
func (w *office) happened(stream string, m proto.Message) {
	w.t.Helper()
	w.calls++
	origin := decider.Origin{Key: fmt.Sprint("test ", w.calls), Service: flows.Marketing, Time: w.now}
	_, err := decider.Handle(w.t.Context(), w.streams, origin, stream, decider.Decider[int]{
		Initial: func() int { return 0 }, Evolve: func(n int, _ proto.Message) int { return n },
	}, func(int) ([]proto.Message, error) { return []proto.Message{m}, nil })
	if err != nil {
		w.t.Fatal(err)
	}
}

// told takes in what the other services tell.
func (w *office) told(events ...proto.Message) {
	w.t.Helper()
	w.project(func(ctx context.Context, tx *projection.Tx, e codec.Event) error {
		for _, project := range []func(context.Context, *projection.Tx, codec.Event) error{facts.Project, complaint.Project, nba.Project} {
			if err := project(ctx, tx, e); err != nil {
				return err
			}
		}
		return nil
	}, events...)
}

func (w *office) project(project func(context.Context, *projection.Tx, codec.Event) error, events ...proto.Message) {
	w.t.Helper()
	err := w.db.Update(w.t.Context(), func(tx *projection.Tx) error {
		for _, m := range events {
			if err := project(w.t.Context(), tx, codec.Event{Message: m, Metadata: codec.Metadata{Time: w.now}}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// events are all that stand in the log.
func (w *office) events() (all []codec.Event) {
	w.t.Helper()
	for raw, err := range w.log.ReadAll(context.Background(), eventlog.Forward, nil, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		e, err := w.streams.Codec.Decode(context.Background(), raw)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// follow brings the tables up to the end of the log.
func (w *office) follow() {
	w.t.Helper()
	for _, e := range w.events() {
		if e.Position.Compare(w.shown) <= 0 {
			continue
		}
		err := w.db.Update(w.t.Context(), func(tx *projection.Tx) error {
			for _, project := range []func(context.Context, *projection.Tx, codec.Event) error{
				proposition.Project, arbitration.Project, segment.Project, Project, lead.Project,
			} {
				if err := project(w.t.Context(), tx, e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
		w.shown = e.Position
	}
}

// pass lets time pass, and has the runner do what there is to do.
func (w *office) pass(d time.Duration) {
	w.t.Helper()
	w.now = w.now.Add(d)
	for range 100 {
		before := len(w.events())
		w.follow()
		if _, err := w.runner.Round(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		w.follow()
		w.now = w.now.Add(leastPause)
		if len(w.events()) == before {
			return
		}
	}
	w.t.Fatal("the runner does not come to rest")
}

func (w *office) define(c *marketingv1.Campaign) {
	w.t.Helper()
	c.Name, c.PropositionId = "A campaign", "savings"
	if c.Channel == journeyv1.Channel_CHANNEL_UNSPECIFIED {
		c.Channel = journeyv1.Channel_CHANNEL_EMAIL
	}
	if _, err := w.api().DefineCampaign(w.t.Context(), &marketingv1.DefineCampaignRequest{Campaign: c}); err != nil {
		w.t.Fatal(err)
	}
	w.follow()
}

func (w *office) cap(caps ...*marketingv1.LeadCap) {
	w.t.Helper()
	w.happened(lead.CapsStream, &marketingv1.LeadCapsConfigured{Caps: caps})
}

// order lets customers spend, so that CRM tells of them.
func (w *office) order(customers ...string) {
	w.t.Helper()
	for _, c := range customers {
		w.told(&salesv1.OrderPlaced{CustomerId: c, AmountCents: 100})
	}
}

// interest lets a customer show interest, in a contact of its own.
func (w *office) interest(customer, topic string) {
	w.t.Helper()
	w.calls++
	w.told(&channelv1.InterestShown{ContactId: fmt.Sprint("contact ", w.calls), CustomerId: customer, Topic: topic})
}

// leads lists the customers that each campaign has issued leads to, in order.
func (w *office) leads() string {
	w.t.Helper()
	by := map[string][]string{}
	seen := map[string]bool{}
	for _, e := range w.events() {
		if m, ok := e.Message.(*marketingv1.LeadIssued); ok {
			by[m.GetCampaignId()] = append(by[m.GetCampaignId()], m.GetCustomerId())
			if seen[m.GetLeadId()] {
				w.t.Errorf("lead %s of campaign %s is issued twice", m.GetLeadId(), m.GetCampaignId())
			}
			seen[m.GetLeadId()] = true
		}
	}
	var lines []string
	for campaign, customers := range by {
		lines = append(lines, campaign+": "+strings.Join(customers, " "))
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

// runs tells how the runs of a campaign ended, the first first.
func (w *office) runs(campaign string) (all []string) {
	w.t.Helper()
	resp, err := w.api().ListRuns(w.t.Context(), &marketingv1.ListRunsRequest{CampaignId: campaign})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range slices.Backward(resp.GetRuns()) {
		due := ""
		if r.GetDueAt() != nil {
			due = r.GetDueAt().AsTime().Format("2006-01-02T15:04") + " "
		}
		all = append(all, fmt.Sprintf("%s%s: %d eligible, %d capped, %d leads%s", due,
			strings.ToLower(strings.TrimPrefix(r.GetEnd().String(), "RUN_END_")), r.GetEligible(), r.GetCapped(), r.GetLeads(), r.GetProblem()))
	}
	return all
}

func (w *office) want(what, leads string) {
	w.t.Helper()
	if got := w.leads(); got != leads {
		w.t.Errorf("%s: leads are %q, want %q", what, got, leads)
	}
}

// sequentially asks a fault one by one: customers' streams are written to at once.
func sequentially(fault *func(when, stream string) error) func(when, stream string) error {
	var mu sync.Mutex
	return func(when, stream string) error {
		mu.Lock()
		defer mu.Unlock()
		return (*fault)(when, stream)
	}
}
