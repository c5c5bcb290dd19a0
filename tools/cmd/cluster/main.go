// Command cluster runs a Kubernetes of one node on this machine.
//
//	cluster up          starts one, and prints the KUBECONFIG to export
//	cluster load FILES  puts images on its node, from OCI archives
//	cluster down        ends it, and takes away all that it has made
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/triangle-suite/triangle/tools/cluster"
)

type commands struct {
	Dir      string `default:"${dir}" help:"The cluster's folder."`
	Programs string `env:"TRIANGLE_CLUSTER_PROGRAMS" help:"The folders of Kubernetes's programs, as in PATH."`

	Up   up   `cmd:"" help:"Start a cluster."`
	Load load `cmd:"" help:"Put images on the cluster's node."`
	Down down `cmd:"" help:"End the cluster."`
}

func (c commands) options() cluster.Options {
	return cluster.Options{Dir: c.Dir, Programs: c.Programs, Detach: true, Policies: cluster.Enforced, Log: os.Stderr}
}

type up struct{}

// Run starts a cluster.
func (up) Run(ctx context.Context, all *commands) error {
	c, err := cluster.Start(ctx, all.options())
	if err != nil {
		return err
	}
	fmt.Printf("export KUBECONFIG=%s\n", c.Kubeconfig())
	return nil
}

type load struct {
	Archives []string `arg:"" type:"existingfile" help:"OCI archives, as make images writes them."`
}

// Run loads images.
func (l load) Run(ctx context.Context, all *commands) error {
	c, err := cluster.Open(all.options())
	if err != nil {
		return err
	}
	return c.Load(ctx, l.Archives...)
}

type down struct{}

// Run ends the cluster.
func (down) Run(ctx context.Context, all *commands) error {
	c, err := cluster.Open(all.options())
	if err != nil {
		return err
	}
	return c.Stop(ctx)
}

func main() {
	var all commands
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	parsed := kong.Parse(&all, kong.Name("cluster"), kong.Description("Runs a Kubernetes of one node on this machine."),
		kong.Vars{"dir": cluster.DefaultDir}, kong.BindTo(ctx, (*context.Context)(nil)))
	err := parsed.Run(&all)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}
