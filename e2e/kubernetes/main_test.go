package kubernetes

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/triangle-suite/triangle/tools/cluster"
)

// envKubeconfig names the cluster to use. It is not KUBECONFIG: nobody is to find the
// tests on the cluster that he happens to work on.
const envKubeconfig = "TRIANGLE_E2E_KUBECONFIG"

// the cluster that all tests of this package run on, and what was made for it.
var the struct {
	cluster  *cluster.Cluster
	triangle string // the command
	pgtest   string // a PostgreSQL
	helm     string
	images   images
}

// images are where ours are, as in PATH, and what they are called. Those of make
// e2e-full are there at further versions: next, which is as good, and broken, of sales
// support alone, which never gets ready.
type images struct{ folders, registry, version string }

func (i images) next() string   { return i.version + "-next" }
func (i images) broken() string { return i.version + "-broken" }

var (
	// seed is what chance begins with.
	seed = flag.Uint64("seed", 0, "what chance begins with; 0: another one each time")
	// killed has the cluster end badly.
	killed = flag.Bool("killed", false, "kill all parts of the cluster in the end, and show that nothing is left all the same")
)

func TestMain(m *testing.M) { os.Exit(onCluster(m)) }

func onCluster(m *testing.M) (status int) {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM) //nolint:govet // it ends with the process
	dir, err := os.MkdirTemp("", "triangle-kubernetes-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		err = prepare(ctx, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Who is told to end takes the cluster along.
	context.AfterFunc(ctx, func() {
		fmt.Fprintln(os.Stderr, "told to end", the.cluster.Stop(context.Background()))
		os.Exit(1)
	})
	status = m.Run()
	if *killed {
		err = killCluster(ctx, the.cluster)
	}
	if err := errors.Join(err, the.cluster.Stop(context.WithoutCancel(ctx)), nothingLeft(the.cluster)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

// prepare starts the cluster, or takes the one that it is told of, and puts the
// images on it.
func prepare(ctx context.Context, dir string) (err error) {
	the.images = images{os.Getenv("TRIANGLE_IMAGES"), os.Getenv("TRIANGLE_REGISTRY"), os.Getenv("TRIANGLE_VERSION")}
	if the.images.folders == "" || the.images.registry == "" || the.images.version == "" {
		return errors.New("TRIANGLE_IMAGES, TRIANGLE_REGISTRY and TRIANGLE_VERSION say which images to test: run make e2e-cluster")
	}
	if the.helm = os.Getenv("TRIANGLE_HELM"); the.helm == "" {
		return errors.New("TRIANGLE_HELM says which helm to install them with: run make e2e-cluster")
	}
	the.triangle, the.pgtest = filepath.Join(dir, "triangle"), filepath.Join(dir, "pgtest")
	build := exec.CommandContext(ctx, "go", "build", "-o", dir, "../../tools/cmd/triangle", "../../services/internal/pgtest/cmd/pgtest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	if kubeconfig := os.Getenv(envKubeconfig); kubeconfig != "" {
		the.cluster = cluster.Use(kubeconfig, cluster.Options{Log: os.Stderr})
	} else if the.cluster, err = cluster.Start(ctx, cluster.Options{Policies: cluster.Enforced, Log: os.Stderr}); err != nil {
		return err
	}
	if err := load(ctx); err != nil {
		return errors.Join(err, the.cluster.Stop(context.WithoutCancel(ctx)))
	}
	return nil
}

// load puts the images on the node; another's cluster pulls them.
func load(ctx context.Context) error {
	for _, folder := range filepath.SplitList(the.images.folders) {
		archives, err := filepath.Glob(filepath.Join(folder, "*.tar"))
		if err != nil || len(archives) == 0 {
			return errors.Join(err, fmt.Errorf("there are no images in %s: run make e2e-cluster, or make e2e-full", folder))
		}
		if err := the.cluster.Load(ctx, archives...); err != nil && !errors.Is(err, cluster.ErrForeign) {
			return err
		}
	}
	return nil
}
