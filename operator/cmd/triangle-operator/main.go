// Command triangle-operator brings environments and flows to what their objects
// want: see package operator.
package main

import (
	"github.com/alecthomas/kong"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/triangle-suite/triangle/operator/internal/run"
)

func main() {
	var settings run.Settings
	k := kong.Parse(
		&settings,
		kong.Name("triangle-operator"),
		kong.Description("Rolls out the services of Triangles, and moves the flows of InformationFlows."),
		kong.UsageOnError(),
	)
	k.FatalIfErrorf(settings.Check())
	cluster, err := ctrl.GetConfig()
	k.FatalIfErrorf(err, "no cluster")
	k.FatalIfErrorf(run.Operator(ctrl.SetupSignalHandler(), cluster, settings))
}
