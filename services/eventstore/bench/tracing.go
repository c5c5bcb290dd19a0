package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/sidebyside"
)

// tracingSlices are how many slices long a contender runs: processors' time is told in
// hundredths of a second.
const tracingSlices = 5

// Who traces, and how much.
const (
	notInstalled = "not installed"
	itsTwin      = "not installed, in a suite of its own"
	onePercent   = "1 % sampled"
	always       = "always sampled"
)

// measureTracing compares what a contact takes of the processors, and how often it
// allocates, by how many contacts are traced. Two suites do not trace at all: what is
// told of one beside the other is how finely this measures. That tracing which is not
// installed costs nothing no two runs of one program can show; a test of package tracing
// counts that it allocates nothing.
func measureTracing(ctx context.Context, b *bench, tell func(sidebyside.Measure) error) error {
	collector, err := b.startCollector(ctx)
	if err != nil {
		return err
	}
	exported := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + collector, "OTEL_TRACES_EXPORTER=otlp"}
	suites := map[string]*suite{}
	for name, env := range map[string][]string{
		itsTwin: nil, notInstalled: nil,
		onePercent: append(exported, "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.01"),
		always:     append(exported, "OTEL_TRACES_SAMPLER=parentbased_always_on"),
	} {
		if suites[name], err = b.startSuite(ctx, b.Keys[0], env...); err != nil {
			return err
		}
		if err := suites[name].prepare(ctx); err != nil {
			return fmt.Errorf("prepare a suite that is %s: %w", name, err)
		}
	}
	cpu := b.byTracing("CPU of a contact, channel and marketing support together", "ms", suites,
		func(used usage) float64 { return 1000 * used.seconds }, sidebyside.Goal{AtMost: 1.10}, sidebyside.Goal{AtMost: 1.20})
	if err := tell(cpu); err != nil {
		return err
	}
	return tell(b.byTracing("Allocations of a contact, channel and marketing support together", "allocations", suites,
		func(used usage) float64 { return used.allocations }, sidebyside.Goal{}, sidebyside.Goal{}))
}

// byTracing compares the suites by what a contact uses.
func (b *bench) byTracing(name, unit string, suites map[string]*suite, of func(usage) float64, some, all sidebyside.Goal) sidebyside.Measure {
	m := sidebyside.Measure{Name: name + ", by tracing", Unit: unit, Pairs: []sidebyside.Pair{
		{Of: notInstalled, To: itsTwin}, {Of: onePercent, To: notInstalled, Goal: some}, {Of: always, To: notInstalled, Goal: all},
	}}
	for _, who := range []string{itsTwin, notInstalled, onePercent, always} {
		m.Contenders = append(m.Contenders, sidebyside.Contender{Name: who, Sync: syncContact, Run: func(ctx context.Context) (float64, error) {
			used, err := suites[who].use(ctx, tracingSlices*b.Slice)
			return of(used), err
		}})
	}
	return m
}

// usage is what a contact uses, or a process has used.
type usage struct{ seconds, allocations float64 }

// use has contacts come for a while, and returns what each has used on average.
func (s *suite) use(ctx context.Context, slice time.Duration) (usage, error) {
	before, err := s.used(ctx)
	if err != nil {
		return usage{}, err
	}
	took, err := s.contacts(ctx, slice)
	if err != nil {
		return usage{}, err
	}
	after, err := s.used(ctx)
	n := float64(len(took))
	return usage{(after.seconds - before.seconds) / n, (after.allocations - before.allocations) / n}, err
}

// used is what the services have used since they were started.
func (s *suite) used(ctx context.Context) (all usage, err error) {
	for _, role := range []string{roleChannel, roleMarketing} {
		for name, into := range map[string]*float64{"process_cpu_seconds_total": &all.seconds, "go_memstats_mallocs_total": &all.allocations} {
			value, err := s.metricOf(ctx, role, name)
			if err != nil {
				return usage{}, err
			}
			*into += value
		}
	}
	return all, nil
}

// metricOf asks a service for a metric that has no labels.
func (s *suite) metricOf(ctx context.Context, role, name string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.metrics[role], http.NoBody)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("ask for the metrics of %s: %w", role, err)
	}
	defer func() { _ = answer.Body.Close() }() // it was only read
	value, err := metric(answer.Body, name)
	_, drained := io.Copy(io.Discard, answer.Body) // so that the connection is used again
	return value, errors.Join(err, drained)
}

// collector takes spans, and forgets them. What that takes is this process's own.
type collector struct {
	collectorv1.UnimplementedTraceServiceServer
}

// Export implements collectorv1.TraceServiceServer.
func (collector) Export(context.Context, *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

// startCollector starts a collector, and returns its address.
func (b *bench) startCollector(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("start a collector: %w", err)
	}
	server, served := grpc.NewServer(), make(chan error, 1)
	collectorv1.RegisterTraceServiceServer(server, collector{})
	go func() { served <- server.Serve(listener) }()
	b.onClose(func() error {
		server.Stop()
		return <-served
	})
	return listener.Addr().String(), nil
}
