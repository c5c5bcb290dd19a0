// Command triangle-operator brings environments and flows to what their objects
// want: see package operator.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/alecthomas/kong"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/triangle-suite/triangle/operator/internal/run"
	"github.com/triangle-suite/triangle/services/telemetry"
)

// misused is the exit status for settings that can't be meant.
const misused = 2

// patience is for a collector that does not answer when the operator ends: another
// replica waits to lead.
const patience = 3 * time.Second

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
	observed, err := settings.Observe(context.Background())
	if err != nil {
		end(misused, err)
	}
	cluster, err := ctrl.GetConfig()
	if err != nil {
		end(misused, fmt.Errorf("no cluster: run it in one, or have KUBECONFIG name the file that leads to it (%w)", err))
	}
	err = run.Operator(ctrl.SetupSignalHandler(), cluster, settings)
	if err = errors.Join(err, handOver(observed)); err != nil {
		end(1, err)
	}
}

// handOver gives the last spans away.
func handOver(observed *telemetry.Telemetry) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return observed.Shutdown(ctx)
}

func end(status int, why error) {
	_, _ = fmt.Fprintln(os.Stderr, "triangle-operator:", why)
	os.Exit(status)
}
