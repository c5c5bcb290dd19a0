package faults_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/workload"
)

// The whole operator: an environment comes about, one of its flows is moved, and the
// flow's consumer goes over to another image before the last step. What the cluster
// would do with workloads the test does: it runs the images' programs.
func TestAnEnvironmentIsRolledOutWhileItsFlowIsMoved(t *testing.T) {
	w := newWorld(t)
	pods := w.pods()
	w.operate("operator")
	w.create(w.migration())
	w.stands(v1alpha1.ConditionAwaitingApproval, metav1.ConditionTrue)
	w.await("all services on their images", func() bool { return w.serves("marketing", "registry/marketing:1") })

	shop := w.shop()
	before := shop.DeepCopy()
	shop.Spec.Marketing.Image = "registry/marketing:2"
	if err := w.client.Patch(t.Context(), shop, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	w.approve()
	w.await("marketing on its other image", func() bool { return w.serves("marketing", "registry/marketing:2") })
	pods.stop()
	w.arrives()
}

func (w *world) shop() *v1alpha1.Triangle {
	w.Helper()
	t := &v1alpha1.Triangle{}
	if err := w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: "shop"}, t); err != nil {
		w.Fatal(err)
	}
	return t
}

// serves tells whether the environment is ready, each service has an image that has
// shown itself good, and one has this.
func (w *world) serves(service, image string) bool {
	s := w.shop().Status
	good := 0
	for _, one := range s.Services {
		if one.GoodImage != "" && one.GoodImage == one.Image && (one.Name != service || one.Image == image) {
			good++
		}
	}
	return good == 3 && meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionReady)
}

// pods are what the cluster would run: they write the workloads' status, and are the
// services' processes.
type pods struct {
	w       *world
	of      map[string]*process
	images  map[string]string
	done    map[string]bool // the Jobs that have been run
	cancel  context.CancelFunc
	stopped chan struct{}
}

func (w *world) pods() *pods {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	p := &pods{w: w, images: map[string]string{}, done: map[string]bool{}, cancel: cancel, stopped: make(chan struct{})}
	p.of = map[string]*process{"channel": w.serve("channel", "channel", w.store.ConnectionString()), "sales": w.sales, "marketing": w.marketing}
	for service := range p.of {
		p.images[service] = "registry/" + service + ":1"
	}
	go func() {
		defer close(p.stopped)
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				p.play(ctx)
			}
		}
	}()
	w.Cleanup(p.stop)
	return p
}

func (p *pods) stop() {
	p.cancel()
	<-p.stopped
}

// play brings the workloads one step further. What fails is tried again soon.
func (p *pods) play(ctx context.Context) {
	var jobs batchv1.JobList
	var sets appsv1.StatefulSetList
	in := client.InNamespace(p.w.namespace)
	if p.w.client.List(ctx, &jobs, in) != nil || p.w.client.List(ctx, &sets, in) != nil {
		return
	}
	for i := range jobs.Items {
		if job := &jobs.Items[i]; !p.done[job.Name] {
			p.done[job.Name] = p.announce(ctx, job)
		}
	}
	for i := range sets.Items {
		set := &sets.Items[i]
		service := set.Labels[workload.LabelComponent]
		p.bring(service, set.Spec.Template.Spec.Containers[0].Image)
		var ready int32
		if p.of[service].isReady() {
			ready = 1
		}
		if set.Status.ObservedGeneration != set.Generation || set.Status.ReadyReplicas != ready {
			set.Status = appsv1.StatefulSetStatus{
				ObservedGeneration: set.Generation, Replicas: 1, UpdatedReplicas: ready, ReadyReplicas: ready, AvailableReplicas: ready, CurrentReplicas: ready,
			}
			_ = p.w.client.Status().Update(ctx, set) // else the next time
		}
	}
}

// announce runs the program of a Job's image as the Job says.
func (p *pods) announce(ctx context.Context, job *batchv1.Job) bool {
	service, c := job.Labels[workload.LabelComponent], job.Spec.Template.Spec.Containers[0]
	command := exec.CommandContext(ctx, p.of[service].path, c.Args...)
	command.Env = append(os.Environ(), "TRIANGLE_EVENTSTORE="+p.w.store.ConnectionString(), "TRIANGLE_IMAGE="+c.Image)
	out, err := command.CombinedOutput()
	if err != nil && ctx.Err() == nil {
		p.w.Logf("the Job %s is run again: %v: %s", job.Name, err, out)
	}
	return err == nil
}

// bring has a service's process be of an image.
func (p *pods) bring(service, image string) {
	if p.images[service] == image {
		return
	}
	p.images[service] = image
	process := p.of[service]
	process.signal(syscall.SIGTERM)
	<-process.ended
	process.env = append(slices.DeleteFunc(process.env, func(v string) bool { return strings.HasPrefix(v, "TRIANGLE_IMAGE=") }), "TRIANGLE_IMAGE="+image)
	process.start()
}
