package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/internal/contract"
	"github.com/triangle-suite/triangle/services/telemetry"
)

// Announce says in the event store what this build of a service reads and writes,
// and serves nothing: so that it can be known before the build takes anything in.
// What it takes in it knows when it is put together, which is done on a database
// and a key ring that are empty and thrown away: those of the service may be in
// use by the build that serves.
func Announce(ctx context.Context, service config.Service, settings Settings, build Build) (err error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	common := *config.CommonOf(settings)
	t, err := telemetry.Start(ctx, telemetry.Settings{
		Service: service.Program, Version: config.Version(), Level: common.LogLevel.Slog(),
	})
	if err != nil {
		return fmt.Errorf("set up telemetry: %w", err)
	}
	defer func() { err = errors.Join(err, t.Shutdown(context.WithoutCancel(ctx))) }()
	scratch, err := os.MkdirTemp("", service.Program+"-announce-")
	if err != nil {
		return fmt.Errorf("make room for what is thrown away: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	common.Database = config.Database(filepath.Join(scratch, "read-models.db"))
	common.Keys = config.Database(filepath.Join(scratch, "keys.db"))

	parts, closeParts, err := open(ctx, service, common, t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeParts()) }()
	parts.Streams.Tracer = Tracer(t)
	app, err := build(ctx, parts)
	if err != nil {
		return fmt.Errorf("put the service together: %w", err)
	}
	said, err := contract.Of(flows.Service(service.Name), config.Version(), app.Flows.Flows()...)
	if err != nil {
		return err
	}
	id, err := contract.Announce(ctx, parts.Streams, said, common.Image)
	if err != nil {
		return err
	}
	t.Logger.InfoContext(ctx, "the contract of this build is announced", "contract", id.String(), "image", common.Image)
	return nil
}
