// Command sales-support runs sales support: CRM and lead management.
//
// It ends with status 0 after SIGTERM or SIGINT, 1 when it fails, and 2 on a
// wrong configuration.
package main

import (
	"context"

	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/internal/host"
	"github.com/triangle-suite/triangle/services/sales"
)

func main() {
	var settings sales.Settings
	host.Main(config.Sales, &settings, func(ctx context.Context, parts host.Parts) (host.Application, error) {
		return sales.New(ctx, parts, &settings)
	})
}
