package controller_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/internal/workload"
	"github.com/triangle-suite/triangle/services/control/controltest"
)

// nodes play the workload controllers and the pods, which the cluster does not have:
// they write the workloads' status, and what the images would say to the store.
type nodes struct {
	w     *world
	suite *controltest.Suite
	most  int // how many services have been seen on their way at once

	mu        sync.Mutex
	contracts map[string]*flowv1.ContractAnnounced // by image; none: the image announces nothing
	broken    map[string]bool                      // images that never get ready
	calls     map[string][2]uint64                 // by image
	replicas  map[string]func()                    // by image, what stops it
	paused    bool
}

func newNodes(t *testing.T, w *world) *nodes {
	n := &nodes{
		w: w, suite: controltest.New(t, w.store.ConnectionString()), contracts: map[string]*flowv1.ContractAnnounced{},
		broken: map[string]bool{}, calls: map[string][2]uint64{}, replicas: map[string]func(){},
	}
	for _, service := range flows.Services {
		for _, version := range []string{"1", "2", "3"} {
			n.contracts["registry/"+string(service)+":"+version] = controltest.Contract(t, service, version)
		}
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				n.play(ctx)
			}
		}
	}()
	t.Cleanup(func() { end(); <-ended })
	return n
}

// with changes what the nodes play.
func (n *nodes) with(how func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	how()
}

// play brings the workloads one step further. What fails is tried again soon.
func (n *nodes) play(ctx context.Context) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.paused {
		return
	}
	moving := 0
	in := client.InNamespace(n.w.namespace)
	var sets appsv1.StatefulSetList
	var deployments appsv1.DeploymentList
	var jobs batchv1.JobList
	if n.w.client.List(ctx, &sets, in) != nil || n.w.client.List(ctx, &deployments, in) != nil || n.w.client.List(ctx, &jobs, in) != nil {
		return
	}
	for i := range sets.Items {
		s := &sets.Items[i]
		ready := n.pod(s.Spec.Template, 1)
		wanted := appsv1.StatefulSetStatus{
			ObservedGeneration: s.Generation, Replicas: 1, UpdatedReplicas: ready, ReadyReplicas: ready, AvailableReplicas: ready, CurrentReplicas: ready,
		}
		if wanted.ReadyReplicas == 0 {
			moving++
		}
		if s.Status.ObservedGeneration != wanted.ObservedGeneration || s.Status.ReadyReplicas != wanted.ReadyReplicas {
			s.Status = wanted
			_ = n.w.client.Status().Update(ctx, s) // else the next time
		}
	}
	for i := range deployments.Items {
		d := &deployments.Items[i]
		ready := n.pod(d.Spec.Template, *d.Spec.Replicas)
		if d.Status.ObservedGeneration != d.Generation || d.Status.ReadyReplicas != ready {
			d.Status = appsv1.DeploymentStatus{
				ObservedGeneration: d.Generation, Replicas: *d.Spec.Replicas, UpdatedReplicas: ready, ReadyReplicas: ready, AvailableReplicas: ready,
			}
			_ = n.w.client.Status().Update(ctx, d)
		}
	}
	for i := range jobs.Items {
		n.job(ctx, &jobs.Items[i])
	}
	n.most = max(n.most, moving)
}

// pod returns how many replicas of a template are ready, and lets one of its image
// run, and none of another one of its service.
func (n *nodes) pod(template corev1.PodTemplateSpec, replicas int32) int32 {
	image, service := template.Spec.Containers[0].Image, template.Labels[workload.LabelComponent]
	for other, stop := range n.replicas {
		if other != image && strings.HasPrefix(other, "registry/"+service+":") {
			stop()
			delete(n.replicas, other)
		}
	}
	if n.broken[image] || n.contracts[image] == nil {
		return 0
	}
	if n.replicas[image] == nil {
		calls := n.calls[image]
		n.replicas[image] = n.suite.Run(image, n.contracts[image], func() (uint64, uint64) { return calls[0], calls[1] })
	}
	return replicas
}

// job runs an image's announcement.
func (n *nodes) job(ctx context.Context, job *batchv1.Job) {
	image, service := job.Spec.Template.Spec.Containers[0].Image, job.Labels[workload.LabelComponent]
	if c := n.contracts[image]; c != nil {
		if c.GetService() != service {
			n.w.t.Errorf("%s is announced by %s", service, image)
		}
		if err := n.suite.Announce(image, c); err != nil {
			n.w.t.Logf("the Job %s is tried again: %v", job.Name, err)
		}
		return
	}
	if job.Status.Failed > 0 {
		return
	}
	now := metav1.Now()
	job.Status = batchv1.JobStatus{StartTime: &now, Failed: 4, Conditions: []batchv1.JobCondition{
		{Type: batchv1.JobFailureTarget, Status: corev1.ConditionTrue, Reason: "BackoffLimitExceeded", Message: "Job has reached the specified backoff limit", LastTransitionTime: now},
		{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: "BackoffLimitExceeded", Message: "Job has reached the specified backoff limit", LastTransitionTime: now},
	}}
	if err := n.w.client.Status().Update(ctx, job); err != nil {
		n.w.t.Logf("the Job %s is told of again: %v", job.Name, err)
	}
}
