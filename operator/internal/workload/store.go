package workload

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// StoreComponent is the embedded store's name among the components, and StorePort
// where it listens.
const (
	StoreComponent = "event-store"
	StorePort      = 2113
)

// StoreAddress is the embedded store's connection string, inside the cluster. It
// speaks no TLS: what is personal is sealed before it is sent, and network policies
// say who may come.
func StoreAddress(t *v1alpha1.Triangle) string {
	return "esdb://" + Name(t, StoreComponent) + "." + t.Namespace + ".svc:" + strconv.Itoa(StorePort) + "?tls=false"
}

// store makes the embedded store; nothing where the environment has another one.
func (b builder) store() []runtime.Object {
	embedded := b.t.Spec.EventStore.Embedded
	if embedded == nil {
		return nil
	}
	p := part{component: StoreComponent, image: string(embedded.Image)}
	name := Name(b.t, StoreComponent)
	pod := b.pod(p, corev1.Container{
		Args:           []string{"serve", "--addr", "0.0.0.0:" + strconv.Itoa(StorePort), "--data", dataDir + "/events"},
		Ports:          []corev1.ContainerPort{{Name: "esdb", ContainerPort: StorePort, Protocol: corev1.ProtocolTCP}},
		Resources:      embedded.Resources,
		StartupProbe:   probe("/health/live", "esdb", 2, 150), // it may have an index to make
		LivenessProbe:  probe("/health/live", "esdb", 0, 0),
		ReadinessProbe: probe("/health/live", "esdb", 5, 0),
		Lifecycle:      preStop(storePreStopSeconds),
		VolumeMounts:   []corev1.VolumeMount{{Name: "data", MountPath: dataDir}},
	})
	pod.Spec.ServiceAccountName = name
	return []runtime.Object{
		b.serviceAccount(p, name),
		b.network(p, name, port("esdb", StorePort)),
		b.statefulSet(p, name, pod, claim("data", embedded.Size, embedded.StorageClassName)),
	}
}

// statefulSet is a set of one, whose volume stays when it goes. Its pods need no
// order, and without one a pod that never gets ready is replaced when the template
// changes; else somebody would have to delete it.
func (b builder) statefulSet(p part, name string, pod corev1.PodTemplateSpec, volume corev1.PersistentVolumeClaim) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
		ObjectMeta: b.meta(p, name),
		Spec: appsv1.StatefulSetSpec{
			Replicas: ptr(int32(1)), ServiceName: name,
			Selector:             &metav1.LabelSelector{MatchLabels: b.selector(p)},
			Template:             pod,
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{volume},
			PodManagementPolicy:  appsv1.ParallelPodManagement,
			UpdateStrategy:       appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType},
			PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
				WhenScaled:  appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
			},
			RevisionHistoryLimit: ptr(int32(3)),
		},
	}
}

// claim asks for a volume that one pod at a time can mount: two pods that write one
// file would be the end of it.
func claim(name string, size resource.Quantity, class *string) corev1.PersistentVolumeClaim {
	return corev1.PersistentVolumeClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod},
			StorageClassName: class,
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: size}},
		},
	}
}

func (b builder) serviceAccount(p part, name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{
		TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta:                   b.meta(p, name),
		AutomountServiceAccountToken: ptr(false),
	}
}

func (b builder) network(p part, name string, ports ...corev1.ServicePort) *corev1.Service {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: b.meta(p, name),
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Selector: b.selector(p), Ports: ports},
	}
}

func port(name string, number int32) corev1.ServicePort {
	return corev1.ServicePort{Name: name, Port: number, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString(name)}
}
