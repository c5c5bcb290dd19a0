package simulation

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/telemetry"
)

// observed are the three services on a real store, whose spans are seen.
type observed struct {
	*suite
	seen map[flows.Service]*tracetest.InMemoryExporter
}

func observe(t *testing.T) observed {
	t.Helper()
	store := eventstoretest.Start(t)
	log, err := esdb.Open(store.ConnectionString())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	o := observed{seen: map[flows.Service]*tracetest.InMemoryExporter{}}
	eyes := map[flows.Service]*telemetry.Telemetry{}
	for _, name := range flows.Services {
		o.seen[name] = tracetest.NewInMemoryExporter()
		eyes[name], err = telemetry.Start(t.Context(), telemetry.Settings{Service: string(name), Output: io.Discard, Exporter: o.seen[name]})
		if err != nil {
			t.Fatal(err)
		}
	}
	o.suite = newSuiteOn(t, log, eyes, pgtest.Somewhere)
	for _, flow := range []string{"contacts", "contact-events", "customer-view", "next-best-actions"} {
		_, err := o.control.Set(t.Context(), flow, flows.RealTime, "test", "")
		o.must(err)
		_, err = o.control.WaitSettled(t.Context(), flow)
		o.must(err)
	}
	o.define()
	return o
}

// define gives marketing something to offer.
func (o observed) define() {
	o.Helper()
	marketing := marketingv1.NewMarketingServiceClient(o.running[flows.Marketing].Conn)
	_, err := marketing.DefineProposition(o.keyed(), &marketingv1.DefinePropositionRequest{Proposition: &marketingv1.Proposition{
		PropositionId: "box-set", Name: "The box set", Purpose: marketingv1.Purpose_PURPOSE_SALES, Topic: "jazz", ValueCents: 1000, BasePropensity: 0.1,
		Contents: []*marketingv1.Content{{Channel: journeyv1.Channel_CHANNEL_WEBSITE, Text: "Look at it"}},
	}})
	o.must(err)
	o.await("the proposition is known", func() bool {
		all, err := marketing.ListPropositions(o.Context(), &marketingv1.ListPropositionsRequest{})
		return err == nil && len(all.GetPropositions()) == 1
	})
}

// span is one, with the service that it is of.
type span struct {
	tracetest.SpanStub
	service flows.Service
}

func (s span) String() string { return string(s.service) + ": " + s.Name }

func (s span) value(key string) string {
	for _, kv := range s.Attributes {
		if string(kv.Key) == key {
			return kv.Value.String()
		}
	}
	return ""
}

// trace returns the spans of a trace, by their ids.
func (o observed) trace(id trace.TraceID) map[trace.SpanID]span {
	all := map[trace.SpanID]span{}
	for service, seen := range o.seen {
		for _, s := range seen.GetSpans() {
			if s.SpanContext.TraceID() == id {
				all[s.SpanContext.SpanID()] = span{s, service}
			}
		}
	}
	return all
}

// settled returns the spans of a trace when no more come.
func (o observed) settled(id trace.TraceID, until func(map[trace.SpanID]span) bool) map[trace.SpanID]span {
	o.Helper()
	var all map[trace.SpanID]span
	o.await("the trace is whole", func() bool {
		all = o.trace(id)
		return until(all) && len(orphans(all)) == 1
	})
	return all
}

// orphans are the spans whose parents are not among them.
func orphans(all map[trace.SpanID]span) (alone []span) {
	for _, s := range all {
		if _, ok := all[s.Parent.SpanID()]; !ok {
			alone = append(alone, s)
		}
	}
	return alone
}

const callerTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-"

// visit has a customer come whom CRM knows by an e-mail address, in a trace.
func (o observed) visit(traceparent, name string) *channelv1.StartContactResponse {
	o.Helper()
	person, _, _ := somebody(name)
	_, err := o.sales().RegisterCustomer(o.keyed(), &salesv1.RegisterCustomerRequest{Person: person})
	o.must(err)
	ctx := metadata.AppendToOutgoingContext(o.keyed(), "traceparent", traceparent)
	started, err := o.channel().StartContact(ctx, &channelv1.StartContactRequest{
		Channel: journeyv1.Channel_CHANNEL_WEBSITE, VisitorId: "visitor-" + name, Wait: durationpb.New(10 * time.Second),
		Claims: &channelv1.Claims{Email: person.GetEmail()},
	})
	o.must(err)
	if started.GetNextBestActions().GetSource() != channelv1.ListSource_LIST_SOURCE_DECIDED {
		o.Fatalf("no list was decided: %s", started.GetNextBestActions().GetReason())
	}
	return started
}

func traceID(t testing.TB, traceparent string) trace.TraceID {
	t.Helper()
	id, err := trace.TraceIDFromHex(traceparent[3:35])
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// A visitor claims to be somebody; CRM recognises them, the channel identifies them,
// marketing decides, and the call, which has waited, is answered: that is one trace,
// and one tree.
func TestAContactIsOneTraceThroughAllServices(t *testing.T) {
	o := observe(t)
	o.visit(callerTrace+"01", "anna")
	all := o.settled(traceID(t, callerTrace), func(all map[trace.SpanID]span) bool { return len(find(all, "channel: wait next-best-actions")) == 1 })
	if root := orphans(all)[0]; root.Name != "channel.v1.ChannelService/StartContact" || root.Parent.SpanID().String() != callerTrace[36:52] {
		t.Errorf("the root is %s beneath %s, want the call beneath its caller", root, root.Parent.SpanID())
	}
	for child, parents := range map[string][]string{
		"channel: send contact-{id}":                {"channel: channel.v1.ChannelService/StartContact", "channel: react identify-visitor"},
		"channel: wait next-best-actions":           {"channel: channel.v1.ChannelService/StartContact"},
		"channel: wait customer-view":               {"channel: channel.v1.ChannelService/StartContact"},
		"sales: process contacts":                   {"channel: send contact-{id}"},
		"marketing: process contact-events":         {"channel: send contact-{id}"},
		"marketing: send decisions-{id}":            {"marketing: react decide-next-best-actions"},
		"marketing: react decide-next-best-actions": {"marketing: process contact-events"},
		"channel: process next-best-actions":        {"marketing: send decisions-{id}"},
		"channel: project nba":                      {"channel: process next-best-actions"},
		"channel: react identify-visitor":           {"channel: process customer-view"},
	} {
		spans := find(all, child)
		if len(spans) == 0 {
			t.Errorf("there is no span %s; there are %q", child, namesOf(all))
		}
		for _, s := range spans {
			if got := all[s.Parent.SpanID()].String(); !slices.Contains(parents, got) {
				t.Errorf("%s is beneath %s, want one of %q", child, got, parents)
			}
		}
	}
	for _, s := range all {
		wantSound(t, all, s)
	}
	o.checkWait(all)
	checkNothingPersonal(t, o, "anna")
	if t.Failed() {
		t.Log(tree(all))
	}
}

// checkWait wants the wait for the list to have ended in time, with a link to the
// append of the decision.
func (o observed) checkWait(all map[trace.SpanID]span) {
	o.Helper()
	wait := find(all, "channel: wait next-best-actions")[0]
	if len(wait.Links) != 1 || all[wait.Links[0].SpanContext.SpanID()].String() != "marketing: send decisions-{id}" {
		o.Errorf("the wait links %v, want the append of the decision", wait.Links)
	}
	if wait.value("triangle.outcome") != "came" || wait.value("triangle.wait.budget_s") != "10" {
		o.Errorf("the wait tells %v", wait.Attributes)
	}
}

// wantSound wants of each span what holds for its kind.
func wantSound(t *testing.T, all map[trace.SpanID]span, s span) {
	t.Helper()
	operation, _, _ := strings.Cut(s.Name, " ")
	switch operation {
	case "send":
		if s.SpanKind != trace.SpanKindProducer || s.value("messaging.system") != "eventstoredb" || !strings.Contains(s.Name, "{id}") || s.value("messaging.destination.template") != strings.TrimPrefix(s.Name, "send ") {
			t.Errorf("%s is a %s with %v", s, s.SpanKind, s.Attributes)
		}
	case "process":
		parent := all[s.Parent.SpanID()]
		if s.SpanKind != trace.SpanKindConsumer || s.value("messaging.consumer.group.name") != string(s.service) || parent.SpanKind != trace.SpanKindProducer {
			t.Errorf("%s is a %s beneath %s, with %v", s, s.SpanKind, parent, s.Attributes)
		}
		if s.value("messaging.batch.message_count") != "" || s.value("messaging.message.id") == "" || len(s.Links) != 1 {
			t.Errorf("%s is told as a batch: %v", s, s.Attributes)
		}
	}
}

func find(all map[trace.SpanID]span, name string) (found []span) {
	for _, s := range all {
		if s.String() == name {
			found = append(found, s)
		}
	}
	return found
}

func namesOf(all map[trace.SpanID]span) []string {
	names := map[string]bool{}
	for _, s := range all {
		names[s.String()] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// tree writes a trace as text, each span below its parent.
func tree(all map[trace.SpanID]span) string {
	var text strings.Builder
	var write func(parent trace.SpanID, depth int)
	write = func(parent trace.SpanID, depth int) {
		beneath := slices.Collect(maps.Values(all))
		beneath = slices.DeleteFunc(beneath, func(s span) bool { return s.Parent.SpanID() != parent })
		slices.SortFunc(beneath, func(a, b span) int { return a.StartTime.Compare(b.StartTime) })
		for _, s := range beneath {
			fmt.Fprintf(&text, "%s%s (%s)\n", strings.Repeat("  ", depth), s, s.EndTime.Sub(s.StartTime).Round(10*time.Microsecond))
			write(s.SpanContext.SpanID(), depth+1)
		}
	}
	for _, root := range orphans(all) {
		write(root.Parent.SpanID(), 0)
	}
	return text.String()
}

// checkNothingPersonal looks for what a person is known by in all that was told.
func checkNothingPersonal(t *testing.T, o observed, name string) {
	t.Helper()
	_, _, values := somebody(name)
	for service, seen := range o.seen {
		for _, s := range seen.GetSpans() {
			text := fmt.Sprint(s.Name, all(s.Attributes), s.Status)
			for _, e := range s.Events {
				text += fmt.Sprint(e.Name, all(e.Attributes))
			}
			for _, l := range s.Links {
				text += fmt.Sprint(all(l.Attributes))
			}
			for _, value := range values {
				if strings.Contains(text, value) {
					t.Errorf("%s tells %q in %s: %s", service, value, s.Name, text)
				}
			}
		}
	}
}

func all(attributes []attribute.KeyValue) (text []string) {
	for _, kv := range attributes {
		text = append(text, string(kv.Key)+"="+kv.Value.String())
	}
	return text
}

// A caller who does not sample has nobody trace: none of the services does so of its
// own.
func TestAContactThatIsNotSampledLeavesNoSpan(t *testing.T) {
	o := observe(t)
	o.visit(callerTrace+"00", "bert")
	if got := o.trace(traceID(t, callerTrace)); len(got) > 0 {
		t.Errorf("there are spans: %q", namesOf(got))
	}
}

// A call whose traceparent is broken is answered as any other, in a trace of its own.
func TestACallWithABrokenTraceBeginsANewOne(t *testing.T) {
	o := observe(t)
	for i, broken := range []string{"00-nonsense", strings.Repeat("f", 4000), "00-00000000000000000000000000000000-0000000000000000-01"} {
		before := o.roots()
		o.visit(broken, fmt.Sprint("carla", i))
		var began []trace.TraceID
		o.await("the call is told", func() bool {
			began = nil
			for id, name := range o.roots() {
				if _, old := before[id]; !old && strings.HasSuffix(name, "/StartContact") {
					began = append(began, id)
				}
			}
			return len(began) == 1
		})
		o.settled(began[0], func(all map[trace.SpanID]span) bool { return len(find(all, "channel: process next-best-actions")) > 0 })
	}
}

// roots are the names of the spans that begin traces.
func (o observed) roots() map[trace.TraceID]string {
	roots := map[trace.TraceID]string{}
	for _, seen := range o.seen {
		for _, s := range seen.GetSpans() {
			if !s.Parent.IsValid() {
				roots[s.SpanContext.TraceID()] = s.Name
			}
		}
	}
	return roots
}
