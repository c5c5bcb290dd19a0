package cluster

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/triangle-suite/triangle/tools/cluster/netpol"
)

// patience bounds the wait for a part, on a machine that is busy with other things.
const patience = 3 * time.Minute

// bringUp starts the parts, each as soon as what it needs is there.
func (c *Cluster) bringUp(ctx context.Context) error {
	if err := c.startAll(c.store()); err != nil {
		return err
	}
	if err := c.await(ctx, "containerd answers", c.runtimeAnswers); err != nil {
		return err
	}
	if err := c.loadPause(ctx); err != nil {
		return err
	}
	if err := c.await(ctx, "the API server is ready", c.answers("get", "--raw", "/readyz")); err != nil {
		return err
	}
	if err := c.startAll(c.rest()); err != nil {
		return err
	}
	manifests, err := fill("cluster.yaml", c.values())
	if err != nil {
		return err
	}
	if err := c.await(ctx, "the cluster's own objects are there", func(ctx context.Context) error {
		_, err := c.Kubectl(ctx, bytes.NewReader(manifests), "apply", "--server-side", "-f", "-")
		return err
	}); err != nil {
		return err
	}
	for _, step := range []struct {
		what string
		isSo func(context.Context) error
	}{
		{"the node is ready", c.answers("wait", "--for=condition=Ready", "--timeout=10s", "node/"+nodeName)},
		{"pods may run", c.answers("get", "serviceaccount", "default", "--namespace", "default")},
		{"names resolve, at the service's address", resolves},
		{"policies are enforced, where they are to be", c.enforces},
	} {
		if err := c.await(ctx, step.what, step.isSo); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) startAll(parts []part) error {
	for _, p := range parts {
		if err := c.start(p); err != nil {
			return err
		}
	}
	return nil
}

// await waits until it is so, and tells why it is not when that takes too long or a
// part has ended.
func (c *Cluster) await(ctx context.Context, what string, isSo func(context.Context) error) error {
	began := time.Now()
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last error
	err := until(waiting, func() (bool, error) {
		if err := c.check(); err != nil {
			return false, err
		}
		last = isSo(waiting)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait until %s: %w (at last: %v)", what, err, last) //nolint:errorlint // what it looked like at last is told, not what it was
	}
	fmt.Fprintf(c.log, "%6.1f s  %s\n", time.Since(began).Seconds(), what)
	return nil
}

// answers tells whether kubectl gets an answer.
func (c *Cluster) answers(args ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		_, err := c.Kubectl(ctx, nil, args...)
		return err
	}
}

func (c *Cluster) runtimeAnswers(ctx context.Context) error {
	return c.withRuntime(func(r runtimeapi.RuntimeServiceClient) error {
		status, err := r.Status(ctx, &runtimeapi.StatusRequest{})
		if err != nil {
			return err
		}
		for _, condition := range status.Status.Conditions {
			if !condition.Status {
				return fmt.Errorf("%s: %s", condition.Type, condition.Message)
			}
		}
		return nil
	})
}

// enforces tells whether there is a table of what the policies come to.
func (c *Cluster) enforces(ctx context.Context) error {
	if c.policies != Enforced {
		return nil
	}
	_, err := run(exec.CommandContext(ctx, "nft", "list", "table", "inet", netpol.Table))
	return err
}

// resolves asks for the API server's name, as a pod would.
func resolves(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, dnsService+":53")
	}}
	addresses, err := resolver.LookupHost(ctx, "kubernetes.default.svc."+dnsZone+".")
	if err != nil {
		return err
	}
	if len(addresses) != 1 || addresses[0] != apiService {
		return fmt.Errorf("the API server's name is that of %v, not of %s", addresses, apiService)
	}
	return nil
}
