package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/triangle-suite/triangle/tools/packages"
)

// DefaultDir is where a cluster keeps what it needs while it runs. It has to be on a
// disk that overlayfs works on.
const DefaultDir = "/var/lib/triangle-cluster"

// EnvPrograms names the folders of the programs, as in PATH.
const EnvPrograms = "TRIANGLE_CLUSTER_PROGRAMS"

// Options are how a cluster is started.
type Options struct {
	// Dir is the cluster's folder; DefaultDir when it is empty. What is in it goes with
	// the cluster.
	Dir string
	// Programs are the folders where Kubernetes's programs are, as in PATH; what
	// EnvPrograms says when it is empty.
	Programs string
	// Detach lets the cluster outlive this process: Open finds it again.
	Detach bool
	// Policies says whether NetworkPolicies are enforced; not so when it is empty.
	Policies Policies
	// Log is told what is done; nobody when it is nil.
	Log io.Writer
}

// Policies is what becomes of NetworkPolicies.
type Policies string

// Enforced has them enforced by this machine's nftables, of which package netpol tells.
const Enforced Policies = "Enforced"

// Errors of Start and Open.
var (
	// ErrNotRoot says that this user can't run containers.
	ErrNotRoot = errors.New("a cluster on this machine takes root: run it as root, or have KUBECONFIG name another cluster")
	// ErrRunning says that there is a cluster already.
	ErrRunning = errors.New("a cluster runs already: make cluster-down ends it")
	// ErrNone says that there is no cluster.
	ErrNone = errors.New("no cluster runs: make cluster starts one")
	// ErrNoPrograms says that Kubernetes is not built.
	ErrNoPrograms = errors.New("a program of Kubernetes is missing: make cluster builds them once, and " + EnvPrograms + " names their folders")
	// ErrForeign says that images can't be put on a node that is not ours.
	ErrForeign = errors.New("the cluster of KUBECONFIG is not of this machine: push the images to a registry that it pulls from")
)

// Cluster is a Kubernetes that runs.
type Cluster struct {
	dir        string // empty: not ours
	kubeconfig string
	programs   string
	policies   Policies
	log        io.Writer
	state      state
	running    []*running // the processes that were started here
}

// Start starts a cluster, and returns when its node is ready and its names resolve.
// When that fails, nothing is left but the logs, and the error says where.
func Start(ctx context.Context, o Options) (c *Cluster, err error) {
	c = newCluster(o)
	if os.Geteuid() != 0 {
		return nil, ErrNotRoot
	}
	if err := packages.Install(ctx, c.log, needs...); err != nil {
		return nil, err
	}
	if err := c.takePlace(ctx, o.Detach); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			kept, keepErr := c.KeepLogs(context.WithoutCancel(ctx), "")
			err = errors.Join(fmt.Errorf("%w (the logs are in %s)", err, kept), keepErr, c.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if err := c.prepare(ctx); err != nil {
		return nil, err
	}
	return c, c.bringUp(ctx)
}

func newCluster(o Options) *Cluster {
	c := &Cluster{dir: o.Dir, programs: o.Programs, policies: o.Policies, log: o.Log}
	if c.dir == "" {
		c.dir = DefaultDir
	}
	if c.programs == "" {
		c.programs = os.Getenv(EnvPrograms)
	}
	if c.log == nil {
		c.log = io.Discard
	}
	c.kubeconfig = c.path("kubeconfig")
	return c
}

// takePlace makes the folder, where nobody else's cluster runs. What one has left
// whose process was killed is cleaned up first.
func (c *Cluster) takePlace(ctx context.Context, detach bool) error {
	left, err := readState(c.dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return err
	case left.held():
		return fmt.Errorf("%s: %w", c.dir, ErrRunning)
	default:
		fmt.Fprintf(c.log, "clean up what an earlier cluster has left in %s\n", c.dir)
		c.state = left
		if err := c.Stop(ctx); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return fmt.Errorf("make the cluster's folder: %w", err)
	}
	c.state = newState(detach)
	return c.state.write(c.dir)
}

// Open returns the cluster that runs in a folder; DefaultDir when it is empty. It
// fails with ErrNone.
func Open(o Options) (*Cluster, error) {
	c := newCluster(o)
	var err error
	if c.state, err = readState(c.dir); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", c.dir, ErrNone)
	}
	return c, err
}

// Use returns the cluster that a kubeconfig leads to, whosever it is. Stop leaves it
// running.
func Use(kubeconfig string, o Options) *Cluster {
	c := newCluster(o)
	if kubeconfig != c.kubeconfig {
		c.dir = ""
	}
	c.kubeconfig = kubeconfig
	c.state.Used = true
	return c
}

// Kubeconfig is the file that leads to the cluster, as somebody who may do
// everything.
func (c *Cluster) Kubeconfig() string { return c.kubeconfig }

// Kubectl runs kubectl, and returns what it prints. The error holds what it
// complains of.
func (c *Cluster) Kubectl(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	cmd, err := c.KubectlCommand(ctx, args...)
	if err != nil {
		return "", err
	}
	cmd.Stdin = stdin
	return run(cmd)
}

// KubectlCommand is kubectl as a command to run, such as one that goes on until it is
// told to end.
func (c *Cluster) KubectlCommand(ctx context.Context, args ...string) (*exec.Cmd, error) {
	program, err := c.program("kubectl")
	if err != nil {
		return nil, err
	}
	common := []string{"--kubeconfig", c.kubeconfig}
	if c.dir != "" { // what the last cluster of this address had is of no use
		common = append(common, "--cache-dir", c.path("kubectl"))
	}
	cmd := exec.CommandContext(ctx, program, append(common, args...)...)
	cmd.WaitDelay = time.Second
	return cmd, nil
}

// run runs a command, and returns what it prints, and what it complains of in the
// error.
func run(cmd *exec.Cmd) (string, error) {
	var told, complained bytes.Buffer
	cmd.Stdout, cmd.Stderr = &told, &complained
	if err := cmd.Run(); err != nil {
		return told.String(), fmt.Errorf("%s %s: %w: %s", filepath.Base(cmd.Path), strings.Join(cmd.Args[1:], " "), err, strings.TrimSpace(complained.String()))
	}
	return told.String(), nil
}

// path is a path in the cluster's folder.
func (c *Cluster) path(parts ...string) string {
	return filepath.Join(append([]string{c.dir}, parts...)...)
}

// program finds one of Kubernetes's.
func (c *Cluster) program(name string) (string, error) {
	for _, folder := range filepath.SplitList(c.programs) {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	if path, err := exec.LookPath(name); err == nil && name == "kubectl" {
		return path, nil
	}
	return "", fmt.Errorf("%s: %w", name, ErrNoPrograms)
}
