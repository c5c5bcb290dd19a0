package telemetry

import (
	"context"
	"fmt"
	"os"
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
		return name, checkProtocol("TRACES")
	default:
		return "", config.Wrong("OTEL_TRACES_EXPORTER is %q: write otlp, console or none", name)
	}
}

// checkProtocol refuses a protocol that this build does not speak, rather than
// sending gRPC to a port that expects another one.
func checkProtocol(signal string) error {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_" + signal + "_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		switch protocol := os.Getenv(name); protocol {
		case "":
		case "grpc":
			return nil
		default:
			return config.Wrong("%s is %q: write grpc, and the collector's gRPC port in the endpoint", name, protocol)
		}
	}
	return nil
}
