package workload

import (
	"cmp"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// Ports are where a service serves REST, with probes and metrics, and gRPC.
type Ports struct{ HTTP, GRPC int32 }

// PortsOf are the ports of each service.
var PortsOf = map[flows.Service]Ports{
	flows.Channel: {HTTP: 8081, GRPC: 9081}, flows.Sales: {HTTP: 8082, GRPC: 9082}, flows.Marketing: {HTTP: 8083, GRPC: 9083},
}

// SpecOf returns a service's part of the spec.
func SpecOf(t *v1alpha1.Triangle, service flows.Service) v1alpha1.Service {
	switch service {
	case flows.Channel:
		return t.Spec.Channel
	case flows.Sales:
		return t.Spec.Sales
	default:
		return t.Spec.Marketing
	}
}

// Component is what a service is called among the components.
func Component(service flows.Service) string { return string(service) }

func (b builder) service(service flows.Service, facts Facts) (all []runtime.Object) {
	spec, name, ports := SpecOf(b.t, service), Name(b.t, Component(service)), PortsOf[service]
	p := part{component: Component(service), image: facts.Serve[service]}
	all = append(all, b.serviceAccount(p, name), b.network(p, name, port("http", ports.HTTP), port("grpc", ports.GRPC)))
	if a, ok := facts.Announce[service]; ok {
		all = append(all, b.announcement(service, a))
	}
	if p.image == "" {
		return all
	}
	pod := b.servicePod(p, service)
	if sqlite := b.t.Spec.Database.SQLite; sqlite != nil {
		return append(all, b.statefulSet(p, name, pod, claim("data", sqlite.Size, sqlite.StorageClassName)))
	}
	all = append(all, b.deployment(p, name, spec, pod))
	if spec.Autoscaling != nil {
		all = append(all, b.autoscaler(p, name, spec.Autoscaling))
	}
	if least(spec) >= 2 { // with one replica it would keep nodes from being drained
		all = append(all, b.disruptionBudget(p, name))
	}
	return all
}

// least is how many replicas run at least.
func least(spec v1alpha1.Service) int32 {
	switch {
	case spec.Autoscaling != nil:
		return spec.Autoscaling.MinReplicas
	case spec.Replicas != nil:
		return *spec.Replicas
	default:
		return 1
	}
}

func (b builder) servicePod(p part, service flows.Service) corev1.PodTemplateSpec {
	spec, ports := SpecOf(b.t, service), PortsOf[service]
	trusted, mounts, volumes := b.trust()
	env := with(b.settings(service, p.image), trusted...)
	env = with(env, b.state(service)...)
	if b.sharesKeys() {
		mounts = append(mounts, corev1.VolumeMount{Name: "keys", MountPath: keysDir})
		volumes = append(volumes, corev1.Volume{Name: "keys", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: Name(b.t, keysComponent)},
		}})
	}
	if b.t.Spec.Database.SQLite != nil {
		mounts = append(mounts, corev1.VolumeMount{Name: "data", MountPath: dataDir})
	}
	pod := b.pod(p, corev1.Container{
		Env: with(env, variables(spec.Env)...),
		Ports: []corev1.ContainerPort{
			{Name: "http", ContainerPort: ports.HTTP, Protocol: corev1.ProtocolTCP},
			{Name: "grpc", ContainerPort: ports.GRPC, Protocol: corev1.ProtocolTCP},
		},
		Resources:      spec.Resources,
		StartupProbe:   probe("/healthz", "http", 2, 60),
		LivenessProbe:  probe("/healthz", "http", 0, 0),
		ReadinessProbe: probe("/readyz", "http", 5, 0),
		Lifecycle:      preStop(preStopSeconds),
		VolumeMounts:   mounts,
	}, volumes...)
	pod.Spec.ServiceAccountName = Name(b.t, Component(service))
	if b.sharesKeys() {
		pod.Spec.Affinity = b.together(pod.Spec.Affinity)
		pod.Labels[labelKeys] = b.t.Name
	}
	return pod
}

func (b builder) deployment(p part, name string, spec v1alpha1.Service, pod corev1.PodTemplateSpec) *appsv1.Deployment {
	d := &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: b.meta(p, name),
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: b.selector(p)},
			Template: pod,
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxUnavailable: ptr(intstr.FromInt32(0)), MaxSurge: ptr(intstr.FromInt32(1)),
				},
			},
			ProgressDeadlineSeconds: ptr(max(1, int32(min(b.deadline.Seconds(), 1<<30)))),
			RevisionHistoryLimit:    ptr(int32(3)),
		},
	}
	if spec.Autoscaling == nil { // else it is the autoscaler's: see Handover
		d.Spec.Replicas = ptr(least(spec))
	}
	return d
}

func (b builder) autoscaler(p part, name string, a *v1alpha1.Autoscaling) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: b.meta(p, name),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: name},
			MinReplicas:    &a.MinReplicas,
			MaxReplicas:    a.MaxReplicas,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{
					Name: corev1.ResourceCPU,
					Target: autoscalingv2.MetricTarget{
						Type: autoscalingv2.UtilizationMetricType, AverageUtilization: ptr(cmp.Or(a.CPUPercent, 70)),
					},
				},
			}},
		},
	}
}

func (b builder) disruptionBudget(p part, name string) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		ObjectMeta: b.meta(p, name),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: ptr(intstr.FromInt32(1)),
			Selector:       &metav1.LabelSelector{MatchLabels: b.selector(p)},
		},
	}
}

// announcement is the Job of an image that is to say what it reads and writes. It
// touches neither database nor keys: those may be in use by the image that serves.
func (b builder) announcement(service flows.Service, a Announcement) *batchv1.Job {
	p := part{component: Component(service), image: a.Image, role: roleAnnounce}
	env, mounts, volumes := b.trust()
	pod := b.pod(p, corev1.Container{
		Args: []string{"announce"}, Env: with(b.settings(service, a.Image), env...),
		Resources: SpecOf(b.t, service).Resources, VolumeMounts: mounts,
	}, volumes...)
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	pod.Spec.ServiceAccountName = Name(b.t, Component(service))
	return &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: b.meta(p, JobName(b.t, service, a)),
		Spec: batchv1.JobSpec{
			BackoffLimit:          ptr(int32(3)),
			ActiveDeadlineSeconds: ptr(max(1, int64(b.deadline.Seconds()))),
			Template:              pod,
		},
	}
}

// settings are those that serve and announce have in common.
func (b builder) settings(service flows.Service, image string) []corev1.EnvVar {
	store := corev1.EnvVar{Name: "TRIANGLE_EVENTSTORE", Value: StoreAddress(b.t)}
	if ref := b.t.Spec.EventStore.ConnectionSecretRef; ref != nil {
		store = fromSecret("TRIANGLE_EVENTSTORE", *ref)
	}
	return append([]corev1.EnvVar{store, {Name: "TRIANGLE_IMAGE", Value: image}}, b.telemetry(service)...)
}

// state is where a service keeps what is its own, and where it serves.
func (b builder) state(service flows.Service) []corev1.EnvVar {
	ports := PortsOf[service]
	env := []corev1.EnvVar{
		{Name: "TRIANGLE_HTTP_ADDR", Value: ":" + strconv.Itoa(int(ports.HTTP))},
		{Name: "TRIANGLE_GRPC_ADDR", Value: ":" + strconv.Itoa(int(ports.GRPC))},
	}
	if pg := b.t.Spec.Database.Postgres; pg != nil {
		env = append(env, fromSecret("TRIANGLE_DATABASE", pg.URLSecretRef))
	} else {
		env = append(env, corev1.EnvVar{Name: "TRIANGLE_DATABASE", Value: dataDir + "/read-models.db"})
	}
	if pg := b.t.Spec.KeyRing.Postgres; pg != nil {
		return append(env, fromSecret("TRIANGLE_KEYS", pg.URLSecretRef))
	}
	return append(env, corev1.EnvVar{Name: "TRIANGLE_KEYS", Value: keysDir + "/keys.db"})
}

// telemetry is told in OpenTelemetry's own variables.
func (b builder) telemetry(service flows.Service) []corev1.EnvVar {
	to := b.t.Spec.Telemetry
	if to == nil {
		return nil
	}
	percent, err := strconv.ParseFloat(string(cmp.Or(to.TracePercent, "100")), 64)
	if err != nil { // the schema lets none in; who asks for nonsense gets all
		percent = 100
	}
	pod := corev1.EnvVar{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{
		APIVersion: "v1", FieldPath: "metadata.name",
	}}}
	return []corev1.EnvVar{
		pod,
		{Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: to.Endpoint},
		{Name: "OTEL_EXPORTER_OTLP_PROTOCOL", Value: cmp.Or(to.Protocol, "grpc")},
		{Name: "OTEL_TRACES_SAMPLER", Value: "parentbased_traceidratio"},
		{Name: "OTEL_TRACES_SAMPLER_ARG", Value: strconv.FormatFloat(percent/100, 'f', -1, 64)},
		{Name: "OTEL_RESOURCE_ATTRIBUTES", Value: "service.namespace=" + b.t.Name +
			",k8s.namespace.name=" + b.t.Namespace + ",k8s.pod.name=$(POD_NAME),k8s.container.name=" + Component(service)},
	}
}

func variables(all []v1alpha1.Variable) (env []corev1.EnvVar) {
	for _, v := range all {
		if v.SecretRef != nil {
			env = append(env, fromSecret(v.Name, *v.SecretRef))
			continue
		}
		env = append(env, corev1.EnvVar{Name: v.Name, Value: deref(v.Value)})
	}
	return env
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
