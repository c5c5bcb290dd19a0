// Command marketing-support runs marketing support: campaigns and next best
// actions.
package main

import (
	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/internal/host"
	"github.com/triangle-suite/triangle/services/marketing"
)

func main() {
	var settings marketing.Settings
	host.Main(config.Marketing, &settings, marketing.New)
}
