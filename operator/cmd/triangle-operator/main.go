// Command triangle-operator brings environments and flows to what their objects
// want: see package operator.
package main

import (
	"fmt"
	"os"

	"github.com/alecthomas/kong"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/triangle-suite/triangle/operator/internal/run"
)

// misused is the exit status for settings that can't be meant.
const misused = 2

func main() {
	var settings run.Settings
	parser := kong.Must(
		&settings,
		kong.Name("triangle-operator"),
		kong.Description("Rolls out the services of Triangles, and moves the flows of InformationFlows."),
	)
	_, err := parser.Parse(os.Args[1:])
	if err == nil {
		err = settings.Check()
	}
	if err != nil {
		end(misused, fmt.Errorf("%w (triangle-operator --help tells more)", err))
	}
	settings.Log()
	cluster, err := ctrl.GetConfig()
	if err != nil {
		end(misused, fmt.Errorf("no cluster: run it in one, or have KUBECONFIG name the file that leads to it (%w)", err))
	}
	if err := run.Operator(ctrl.SetupSignalHandler(), cluster, settings); err != nil {
		end(1, err)
	}
}

func end(status int, why error) {
	_, _ = fmt.Fprintln(os.Stderr, "triangle-operator:", why)
	os.Exit(status)
}
