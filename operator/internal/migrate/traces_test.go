package migrate_test

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A step of a migration is one trace, from the look that asks for it to what the
// consumer, a process of its own, answers: that the epoch has ended, and that it goes
// on at the next one.
func TestAStepIsOneTraceWithTheConsumersAnswers(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "console") // of the services, into their logs
	c := newCluster(t)
	spans := tracetest.NewInMemoryExporter()
	c.traces = sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	c.operate("first")
	c.create(c.migration())
	var of string
	c.await("the step is shown", func() bool {
		all := spans.GetSpans()
		i := slices.IndexFunc(all, func(s tracetest.SpanStub) bool { return s.Name == "step often" })
		if i >= 0 {
			of = all[i].SpanContext.TraceID().String()
		}
		return i >= 0
	})
	for _, want := range []controlled{{"flow.CadenceRequested", 3}, {"flow.EpochClosed", 2}, {"flow.CadenceAdopted", 3}} {
		c.await(want.kind+", told", func() bool { return c.control()[want] != "" })
		if got := c.control()[want]; got != of {
			t.Errorf("%s of epoch %d is of the trace %s, want that of the step, %s", want.kind, want.epoch, got, of)
		}
	}
}

// controlled is a control event of the flow.
type controlled struct {
	kind  string
	epoch uint64
}

// control returns the traces of the flow's control events.
func (c *cluster) control() map[controlled]string {
	c.Helper()
	config, err := esdb.ParseConnectionString(c.store)
	c.check(err)
	config.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(config)
	c.check(err)
	defer func() { c.check(client.Close()) }()
	events, err := client.ReadStream(c.Context(), "flow-"+flow, esdb.ReadStreamOptions{}, 1000)
	c.check(err)
	defer events.Close()
	traces := map[controlled]string{}
	for {
		e, err := events.Recv()
		if errors.Is(err, io.EOF) {
			return traces
		}
		c.check(err)
		var data struct {
			Epoch uint64 `json:",string"`
		}
		var metadata struct {
			Trace string `json:"$traceId"`
		}
		c.check(json.Unmarshal(e.Event.Data, &data))
		c.check(json.Unmarshal(e.Event.UserMetadata, &metadata))
		traces[controlled{e.Event.EventType, data.Epoch}] = metadata.Trace
	}
}

func (c *cluster) check(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}
