package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"

	"github.com/triangle-suite/triangle/services/internal/config"
)

// newProvider returns nil where nobody asked for traces.
func newProvider(ctx context.Context, settings Settings, t *Telemetry) (*sdktrace.TracerProvider, error) {
	delivery, err := newDelivery(ctx, settings, t)
	if err != nil || delivery == nil {
		return nil, err
	}
	about, err := resourceOf(ctx, settings)
	if err != nil {
		return nil, err
	}
	return sdktrace.NewTracerProvider(delivery, sdktrace.WithResource(about)), nil
}

// resourceOf is the service as all signals name it. What the environment says of it
// comes last, and so wins.
func resourceOf(ctx context.Context, settings Settings) (*resource.Resource, error) {
	about, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", settings.Service),
			attribute.String("service.version", settings.Version),
		),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(),
	)
	if err != nil {
		return nil, config.Wrong("OTEL_RESOURCE_ATTRIBUTES: write key=value,key=value: %w", err)
	}
	return about, nil
}

// newDelivery says how spans leave the process; nil: they don't.
func newDelivery(ctx context.Context, settings Settings, t *Telemetry) (sdktrace.TracerProviderOption, error) {
	if settings.Exporter != nil {
		return sdktrace.WithSyncer(settings.Exporter), nil
	}
	name, err := exporterName()
	if err != nil {
		return nil, err
	}
	switch name {
	case "console":
		exporter, err := stdouttrace.New()
		if err != nil {
			return nil, fmt.Errorf("write traces to stdout: %w", err)
		}
		return sdktrace.WithSyncer(exporter), nil
	case "otlp":
		// It connects in the background: a collector that is away stops nobody.
		exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithDialOption(grpc.WithChainUnaryInterceptor(noteRefusal)))
		if err != nil {
			return nil, fmt.Errorf("export traces by OTLP: %w", err)
		}
		processor, err := newSpans(exporter, t.Registry, t.Logger)
		if err != nil {
			return nil, err
		}
		return sdktrace.WithSpanProcessor(processor), nil
	default:
		return nil, nil
	}
}

// exporterName reads from OpenTelemetry's own variables which exporter is asked
// for: otlp, console, or none.
func exporterName() (string, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return "none", nil
	}
	name := os.Getenv("OTEL_TRACES_EXPORTER")
	if name == "" {
		name = "none"
		if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "" {
			name = "otlp"
		}
	}
	switch name {
	case "none", "console":
		return name, nil
	case "otlp":
		return name, errors.Join(checkWay("TRACES"), checkSampler())
	default:
		return "", config.Wrong("OTEL_TRACES_EXPORTER is %q: write otlp, console or none", name)
	}
}

// checkWay refuses a way to the collector that this build does not go: the exporters
// would pass over what they can't read, and hand over to an address that nobody named.
func checkWay(signal string) error {
	return errors.Join(checkProtocol(signal), checkEndpoint(signal))
}

// checkProtocol refuses a protocol that this build does not speak, rather than
// sending gRPC to a port that expects another one.
func checkProtocol(signal string) error {
	name, protocol := setting("OTEL_EXPORTER_OTLP_"+signal+"_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
	if protocol == "" || protocol == "grpc" {
		return nil
	}
	return config.Wrong("%s is %q: write grpc, and the collector's gRPC port in the endpoint", name, protocol)
}

func checkEndpoint(signal string) error {
	name, endpoint := setting("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
	if _, err := url.Parse(endpoint); err != nil {
		return config.Wrong("%s is %q: write the collector's address as a URL, such as http://127.0.0.1:4317", name, endpoint)
	}
	return nil
}

// setting returns the first of these variables that is set, and its value.
func setting(names ...string) (name, value string) {
	for _, name = range names {
		if value = os.Getenv(name); value != "" {
			break
		}
	}
	return name, value
}

// checkSampler refuses a sampler that there is not: the SDK would keep every trace.
func checkSampler() error {
	const name, share = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
	switch sampler := strings.ToLower(strings.TrimSpace(os.Getenv(name))); sampler {
	case "", "always_on", "always_off", "parentbased_always_on", "parentbased_always_off":
		return nil
	case "traceidratio", "parentbased_traceidratio":
	default:
		return config.Wrong("%s is %q: write always_on, always_off or traceidratio, or one of these with parentbased_ before it", name, sampler)
	}
	value := strings.TrimSpace(os.Getenv(share))
	ratio, err := strconv.ParseFloat(value, 64)
	if value != "" && (err != nil || !(ratio >= 0 && ratio <= 1)) {
		return config.Wrong("%s is %q: write which share of the traces is kept, from 0 to 1", share, value)
	}
	return nil
}
