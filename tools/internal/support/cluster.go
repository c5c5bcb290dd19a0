package support

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// kinds are those of which a bundle has the objects: no Secrets, and no ConfigMaps.
var kinds = []schema.GroupVersionResource{
	{Group: "triangle.dev", Version: "v1alpha1", Resource: "triangles"},
	{Group: "triangle.dev", Version: "v1alpha1", Resource: "informationflows"},
	{Group: "triangle.dev", Version: "v1alpha1", Resource: "flowapprovals"},
	{Group: "apps", Version: "v1", Resource: "statefulsets"},
	{Group: "apps", Version: "v1", Resource: "deployments"},
	{Group: "batch", Version: "v1", Resource: "jobs"},
	{Group: "batch", Version: "v1", Resource: "cronjobs"},
	{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"},
	{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"},
	{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	{Version: "v1", Resource: "services"},
	{Version: "v1", Resource: "pods"},
	{Version: "v1", Resource: "persistentvolumeclaims"},
	{Version: "v1", Resource: "events"},
}

// Cluster are the parts that Kubernetes tells of a namespace.
func Cluster(config *rest.Config, namespace string) ([]Part, error) {
	c, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	parts := make([]Part, 0, len(kinds))
	for _, kind := range kinds {
		parts = append(parts, Part{"kubernetes/" + kind.Resource + ".json", func(ctx context.Context) ([]byte, error) {
			objects, err := c.Resource(kind).Namespace(namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				return nil, err
			}
			return json.Marshal(objects)
		}})
	}
	return parts, nil
}

// logLines is how much of a log is taken: its end.
const logLines = 2000

// Logs are the logs of the pods of a namespace that are part of Triangle, of each
// container what it has said last, and what it said before it was started again.
func Logs(ctx context.Context, config *rest.Config, namespace string) (parts []Part, err error) {
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	pods, err := c.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/part-of=triangle"})
	if err != nil {
		return nil, fmt.Errorf("list the pods of %s: %w", namespace, err)
	}
	for _, pod := range pods.Items {
		for _, container := range pod.Status.ContainerStatuses {
			parts = append(parts, logOf(c, &pod, container.Name, false))
			if container.RestartCount > 0 {
				parts = append(parts, logOf(c, &pod, container.Name, true))
			}
		}
	}
	return parts, nil
}

func logOf(c kubernetes.Interface, pod *corev1.Pod, container string, before bool) Part {
	name := pod.Name + "-" + container
	if before {
		name += "-before"
	}
	options := &corev1.PodLogOptions{Container: container, Previous: before, TailLines: new(int64(logLines)), Timestamps: true}
	return Part{"logs/" + name + ".txt", func(ctx context.Context) ([]byte, error) {
		return c.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, options).DoRaw(ctx)
	}}
}
