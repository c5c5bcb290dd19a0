package serve_test

import (
	"context"

	"google.golang.org/grpc"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/internal/serve"
	"github.com/triangle-suite/triangle/services/telemetry"
)

// The main of a service: settings, telemetry, then Run until the end.
func Example() {
	var settings struct {
		config.Common
		BackOffice config.URL `name:"backoffice" env:"TRIANGLE_BACKOFFICE" placeholder:"URL" help:"The back office."`
	}
	config.Load(config.Channel, &settings)
	config.Exit(config.Channel, start(settings.Common))
}

func start(settings config.Common) error {
	ctx := context.Background()
	tel, err := telemetry.Start(ctx, telemetry.Settings{
		Service: config.Channel.Name, Version: config.Version(), Level: settings.LogLevel.Slog(),
	})
	if err != nil {
		return err
	}
	return serve.Run(ctx, serve.Options{
		HTTPAddr:  string(settings.HTTPAddr),
		GRPCAddr:  string(settings.GRPCAddr),
		Register:  func(r grpc.ServiceRegistrar) { channelv1.RegisterChannelServiceServer(r, &api{}) },
		Gateway:   channelv1.RegisterChannelServiceHandler,
		OpenAPI:   channelv1.OpenAPI,
		Checks:    []serve.Check{{Name: "store", Check: func(context.Context) error { return nil }}},
		Workers:   []serve.Worker{{Name: "intake", Run: func(ctx context.Context) error { <-ctx.Done(); return nil }}},
		Telemetry: tel,
	})
}
