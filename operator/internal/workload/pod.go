package workload

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// Where things are in a container.
const (
	dataDir  = "/var/lib/triangle/data"
	keysDir  = "/var/lib/triangle/keys"
	trustDir = "/etc/triangle/trust"
	// systemTrust is where images keep the certificates that everybody trusts: named,
	// too, as to name a folder of one's own leaves the usual ones out.
	systemTrust = "/etc/ssl/certs"
)

// nobody is whom containers run as: the user of images without one, called nonroot
// there.
const nobody = 65532

// graceSeconds is how long a pod may take to end: it is taken off the Service, then
// calls under way end, then what runs beside them; 10 s each, by default.
const (
	preStopSeconds = 5
	graceSeconds   = 40
	// storePreStopSeconds is how long the embedded store goes on when all end at once:
	// the services tell it that they leave, after their own preStopSeconds.
	storePreStopSeconds = 12
)

// pod makes a pod of one container, under the restricted pod security standard.
func (b builder) pod(p part, c corev1.Container, volumes ...corev1.Volume) corev1.PodTemplateSpec {
	common := b.t.Spec.Pods
	c.Name, c.Image, c.ImagePullPolicy = p.component, p.image, common.ImagePullPolicy
	c.SecurityContext = &corev1.SecurityContext{
		AllowPrivilegeEscalation: ptr(false),
		ReadOnlyRootFilesystem:   ptr(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "tmp", MountPath: "/tmp"})
	volumes = append(volumes, corev1.Volume{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: b.podLabels(p), Annotations: common.Annotations},
		Spec: corev1.PodSpec{
			Containers:                   []corev1.Container{c},
			Volumes:                      volumes,
			AutomountServiceAccountToken: ptr(false),
			// A Service called triangle-… would set variables called TRIANGLE_….
			EnableServiceLinks:            ptr(false),
			TerminationGracePeriodSeconds: ptr(int64(graceSeconds)),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: ptr(true), RunAsUser: ptr(int64(nobody)), RunAsGroup: ptr(int64(nobody)),
				FSGroup: ptr(int64(nobody)), FSGroupChangePolicy: ptr(corev1.FSGroupChangeOnRootMismatch),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			ImagePullSecrets:          common.ImagePullSecrets,
			NodeSelector:              common.NodeSelector,
			Tolerations:               common.Tolerations,
			Affinity:                  common.Affinity,
			TopologySpreadConstraints: b.spread(p),
			PriorityClassName:         common.PriorityClassName,
		},
	}
}

// spread returns the spec's constraints; those without a selector are about the
// part's own replicas.
func (b builder) spread(p part) []corev1.TopologySpreadConstraint {
	all := slices.Clone(b.t.Spec.Pods.TopologySpreadConstraints)
	for i := range all {
		if all[i].LabelSelector == nil {
			all[i].LabelSelector = &metav1.LabelSelector{MatchLabels: b.selector(p)}
		}
	}
	return all
}

// trust mounts the certificates of whom the environment trusts besides. To name a
// file would leave out the system's: a folder is looked into besides it.
func (b builder) trust() (env []corev1.EnvVar, mounts []corev1.VolumeMount, volumes []corev1.Volume) {
	var sources []corev1.VolumeProjection
	for _, ca := range []struct {
		secret *v1alpha1.SecretKey
		file   string
	}{{b.t.Spec.Pods.CASecretRef, "pods-ca.crt"}, {b.t.Spec.EventStore.CASecretRef, "event-store-ca.crt"}} {
		if ca.secret == nil {
			continue
		}
		sources = append(sources, corev1.VolumeProjection{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: ca.secret.Name},
			Items:                []corev1.KeyToPath{{Key: ca.secret.Key, Path: ca.file}},
		}})
	}
	if len(sources) == 0 {
		return nil, nil, nil
	}
	return []corev1.EnvVar{{Name: "SSL_CERT_DIR", Value: systemTrust + ":" + trustDir}},
		[]corev1.VolumeMount{{Name: "trust", MountPath: trustDir, ReadOnly: true}},
		[]corev1.Volume{{Name: "trust", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: sources}}}}
}

// fromSecret refers to a key of a Secret.
func fromSecret(name string, key v1alpha1.SecretKey) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: key.Name}, Key: key.Key,
	}}}
}

// with adds variables to others, each once: the later one counts.
func with(env []corev1.EnvVar, more ...corev1.EnvVar) []corev1.EnvVar {
	for _, v := range more {
		env = slices.DeleteFunc(env, func(e corev1.EnvVar) bool { return e.Name == v.Name })
		env = append(env, v)
	}
	return env
}

// probe asks for a path; 0 of period and failures: as usual, 10 s and 3.
func probe(path, port string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString(port)}},
		PeriodSeconds: cmp.Or(period, 10), FailureThreshold: cmp.Or(failures, 3), TimeoutSeconds: 3,
	}
}

// preStop leaves the cluster time to send nobody any more.
func preStop(seconds int64) *corev1.Lifecycle {
	return &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: seconds}}}
}
