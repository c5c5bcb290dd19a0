package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/triangle-suite/triangle/tools/internal/images"
)

// Load puts images on the node, from OCI archives. It fails with ErrForeign where
// the node is not ours.
func (c *Cluster) Load(ctx context.Context, archives ...string) error {
	if c.dir == "" {
		return ErrForeign
	}
	for _, archive := range archives {
		if _, err := run(exec.CommandContext(ctx, "ctr", "--address", c.socket(), "--namespace", "k8s.io", "images", "import", archive)); err != nil {
			return fmt.Errorf("load %s: %w", archive, err)
		}
	}
	return nil
}

// loadPause makes the image that holds a pod's namespaces, of our own program.
func (c *Cluster) loadPause(ctx context.Context) error {
	program, err := c.program("pause")
	if err != nil {
		return err
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	image, err := images.Program{Name: "pause", Binaries: map[string][]byte{"linux/" + runtime.GOARCH: binary}}.Index()
	if err != nil {
		return err
	}
	archive := c.path("pause.tar")
	if err := images.Write(archive, pauseImage, image); err != nil {
		return err
	}
	return c.Load(ctx, archive)
}

// withRuntime speaks to containerd as the kubelet does.
func (c *Cluster) withRuntime(do func(runtimeapi.RuntimeServiceClient) error) (err error) {
	connection, err := grpc.NewClient("unix://"+c.socket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("reach containerd: %w", err)
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	return do(runtimeapi.NewRuntimeServiceClient(connection))
}

// removePods ends all pods, their networks and mounts included.
func (c *Cluster) removePods(ctx context.Context) error {
	return c.withRuntime(func(r runtimeapi.RuntimeServiceClient) error {
		pods, err := r.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
		if err != nil {
			return fmt.Errorf("list the pods: %w", err)
		}
		for _, pod := range pods.Items {
			if err := removePod(ctx, r, pod.Id); err != nil {
				return fmt.Errorf("remove pod %s: %w", pod.Metadata.Name, err)
			}
		}
		return nil
	})
}

// removePod kills a pod's containers, without the time to end that they would have.
func removePod(ctx context.Context, r runtimeapi.RuntimeServiceClient, id string) error {
	containers, err := r.ListContainers(ctx, &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{PodSandboxId: id}})
	if err != nil {
		return err
	}
	for _, container := range containers.Containers {
		if _, err := r.StopContainer(ctx, &runtimeapi.StopContainerRequest{ContainerId: container.Id, Timeout: 0}); err != nil {
			return err
		}
	}
	if _, err := r.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: id}); err != nil {
		return err
	}
	_, err = r.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: id})
	return err
}
