package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/rollout"
	"github.com/triangle-suite/triangle/operator/internal/workload"
	"github.com/triangle-suite/triangle/services/control"
)

// serving is a service's workload as the cluster has it.
type serving struct {
	image   string
	ready   int32
	trouble string // empty: all replicas serve with the image
}

// live is what the cluster has of each service; nothing of those that have no
// workload.
type live map[flows.Service]serving

func (l live) images() map[flows.Service]string {
	images := map[flows.Service]string{}
	for service, s := range l {
		images[service] = s.image
	}
	return images
}

// look looks at the workloads.
func (s *step) look(ctx context.Context) (live, error) {
	found := live{}
	for _, service := range flows.Services {
		key := client.ObjectKey{Namespace: s.t.Namespace, Name: workload.Name(s.t, workload.Component(service))}
		var err error
		if s.t.Spec.Database.SQLite != nil {
			set := &appsv1.StatefulSet{}
			if err = s.Reader.Get(ctx, key, set); err == nil {
				found[service] = ofSet(set)
			}
		} else {
			d := &appsv1.Deployment{}
			if err = s.Reader.Get(ctx, key, d); err == nil {
				found[service] = ofDeployment(d)
			}
		}
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("look at %s: %w", key.Name, err)
		}
	}
	return found, nil
}

func ofSet(s *appsv1.StatefulSet) serving {
	st := s.Status
	return served(s.Spec.Template, s.Generation == st.ObservedGeneration, deref(s.Spec.Replicas), st.Replicas, min(st.UpdatedReplicas, st.ReadyReplicas), st.ReadyReplicas)
}

func ofDeployment(d *appsv1.Deployment) serving {
	st := d.Status
	// Of those that are available the cluster does not say which: as many as are of an
	// older template may be of that.
	done := max(0, min(st.UpdatedReplicas, st.AvailableReplicas-(st.Replicas-st.UpdatedReplicas)))
	return served(d.Spec.Template, d.Generation == st.ObservedGeneration, deref(d.Spec.Replicas), st.Replicas, done, st.ReadyReplicas)
}

func deref(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// served: a workload serves when the cluster has seen its template, as many replicas
// as are wanted have it and are ready, and no others run.
func served(template corev1.PodTemplateSpec, seen bool, wanted, running, done, ready int32) serving {
	s := serving{image: template.Spec.Containers[0].Image, ready: ready}
	if !seen || done < wanted || running > wanted {
		s.trouble = fmt.Sprintf("%d of %d replicas are ready with it", done, wanted)
		if !seen {
			s.trouble = "the cluster has not taken it up yet"
		}
	}
	return s
}

// observe looks at the streams.
func (s *step) observe(parent context.Context) (err error) {
	ctx, cancel := context.WithTimeout(parent, storeTimeout)
	defer cancel()
	if s.suite, err = s.store.Suite(ctx); err != nil {
		return err
	}
	if s.types, err = s.store.Types(ctx); err != nil {
		return err
	}
	stale, err := s.stale(ctx)
	if err != nil {
		return err
	}
	if s.store.since.IsZero() {
		s.store.since = s.Now()
	}
	s.seen = rollout.Observation{Reachable: s.store.since}
	for _, service := range s.suite.Services {
		seen, err := s.service(ctx, service)
		if err != nil {
			return err
		}
		seen.Stale = stale[service.Name]
		s.seen.Services = append(s.seen.Services, seen)
	}
	return nil
}

// stale names, by the service that takes them in, the flows that are staler than
// they ought to be, by their consumers' last word.
func (s *step) stale(ctx context.Context) (map[flows.Service][]string, error) {
	all, err := s.store.List(ctx)
	if err != nil {
		return nil, err
	}
	stale := map[flows.Service][]string{}
	for _, state := range all {
		staleness, ok := state.Staleness(s.Now())
		if !ok || staleness == 0 { // to look for the objective takes a while
			continue
		}
		if objective, ok := state.Objective(); ok && staleness > objective.Staleness {
			stale[state.Flow.To] = append(stale[state.Flow.To], state.Flow.Name)
		}
	}
	return stale, nil
}

// service is what is known of one service.
func (s *step) service(ctx context.Context, told control.Service) (rollout.Service, error) {
	spec := workload.SpecOf(s.t, told.Name)
	record := rollout.Fold(eventsOf(told.Rollouts))
	attempt, err := attemptOf(s.t, spec)
	if err != nil {
		return rollout.Service{}, err
	}
	seen := rollout.Service{
		Name: string(told.Name), Wanted: string(spec.Image), Attempt: attempt, Record: record,
		Announced: told.Images[string(spec.Image)] != nil,
	}
	since := contractsOf(told, append([]string{record.Good}, record.Served...))
	if c := told.Images[seen.Wanted]; c != nil {
		seen.Lacks = control.CanRead(c, s.types, since...)
	} else if seen.AnnouncingFailed, err = s.announcing(ctx, told.Name, seen); err != nil {
		return seen, err
	}
	if record.Good != "" {
		seen.GoodLacks = control.CanRead(told.Images[record.Good], s.types, since...)
	}
	workload, there := s.live[told.Name]
	seen.Trouble = workload.trouble
	seen.Ready = there && workload.image == record.Image && workload.trouble == ""
	seen.Calls, seen.Failed, seen.Told = callsOf(told.Replicas, record)
	return seen, nil
}

func eventsOf(entries []control.Entry) (all []rollout.Event) {
	for _, e := range entries {
		all = append(all, rollout.Event{At: e.At, Message: e.Event})
	}
	return all
}

// contractsOf returns the contracts of images, as far as they are known.
func contractsOf(told control.Service, images []string) (all []*flowv1.ContractAnnounced) {
	for _, image := range images {
		if c := told.Images[image]; c != nil {
			all = append(all, c)
		}
	}
	return all
}

// callsOf adds up what the replicas of a rollout's image tell of their calls. They
// count from their start, which is after the rollout began.
func callsOf(replicas []control.Replica, record rollout.Record) (calls, failed uint64, told bool) {
	for _, r := range replicas {
		if r.Image == record.Rolling && !r.Left && !r.Since.Before(record.Began) {
			calls, failed, told = calls+r.Calls, failed+r.Failed, true
		}
	}
	return calls, failed, told
}

// attemptOf digests what an attempt to bring an image in depends on: the service's
// part of the spec, and the last request to try again.
func attemptOf(t *v1alpha1.Triangle, spec v1alpha1.Service) (string, error) {
	text, err := json.Marshal(struct {
		Image     v1alpha1.Image
		Env       []v1alpha1.Variable
		Resources corev1.ResourceRequirements
		Retry     string
	}{spec.Image, spec.Env, spec.Resources, t.Annotations[v1alpha1.AnnotationRetry]})
	if err != nil {
		return "", fmt.Errorf("digest of an attempt: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6]), nil
}

// announcing tells why an image will not announce its contract; empty as long as it
// may.
func (s *step) announcing(ctx context.Context, service flows.Service, seen rollout.Service) (string, error) {
	job := &batchv1.Job{}
	name := workload.JobName(s.t, service, workload.Announcement{Image: seen.Wanted, Attempt: seen.Attempt})
	err := s.Reader.Get(ctx, client.ObjectKey{Namespace: s.t.Namespace, Name: name}, job)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look at the Job %s: %w", name, err)
	}
	for _, c := range job.Status.Conditions {
		switch {
		case c.Status != corev1.ConditionTrue:
		case c.Type == batchv1.JobFailed:
			return strings.TrimSpace("its Job " + name + " failed: " + c.Message), nil
		case c.Type == batchv1.JobComplete:
			return "its Job " + name + " ended well, and nothing was announced", nil
		}
	}
	return "", nil
}

// facts are what is to be applied.
func (s *step) facts() workload.Facts {
	facts := workload.Facts{Serve: map[flows.Service]string{}, Announce: map[flows.Service]workload.Announcement{}}
	for _, seen := range s.seen.Services {
		if seen.Record.Image != "" {
			facts.Serve[flows.Service(seen.Name)] = seen.Record.Image
		}
		if slices.Contains(s.plan.Announce, seen.Name) {
			facts.Announce[flows.Service(seen.Name)] = workload.Announcement{Image: seen.Wanted, Attempt: seen.Attempt}
		}
	}
	return facts
}

// rolloutSpec reads what the spec says of rollouts.
func (s *step) rolloutSpec() (spec rollout.Spec, err error) {
	in := s.t.Spec.Rollout
	spec = rollout.Spec{Name: s.t.Name, By: workload.FieldOwner, Hold: in.OnFailure == v1alpha1.Hold}
	if spec.Deadline, err = orDefault(in.Deadline, 10*time.Minute); err != nil {
		return spec, fmt.Errorf("spec.rollout.deadline: %w", err)
	}
	if spec.Observe, err = orDefault(in.Observe, time.Minute); err != nil {
		return spec, fmt.Errorf("spec.rollout.observe: %w", err)
	}
	spec.MaxErrorPercent = 1
	if in.MaxErrorPercent != "" {
		if spec.MaxErrorPercent, err = strconv.ParseFloat(string(in.MaxErrorPercent), 64); err != nil {
			return spec, fmt.Errorf("spec.rollout.maxErrorPercent is %q: write a number such as 1 or 0.5", in.MaxErrorPercent)
		}
	}
	return spec, nil
}

func orDefault(d v1alpha1.Duration, usual time.Duration) (time.Duration, error) {
	if d == "" {
		return usual, nil
	}
	return d.Parse()
}
