// Command channel-support runs channel support.
package main

import (
	"context"

	"github.com/triangle-suite/triangle/services/channel"
	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/internal/host"
)

func main() {
	var settings channel.Settings
	host.Main(config.Channel, &settings, func(ctx context.Context, parts host.Parts) (host.Application, error) {
		return channel.New(ctx, parts, settings)
	})
}
