package workload

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	keysComponent = "keys"
	// labelKeys is on the pods that mount the volume of the keys.
	labelKeys = "triangle.dev/keys"
)

// sharesKeys tells whether the key ring is a file. The services share their keys, as
// each opens what another one has sealed, so they share the file, and the node that
// its volume is on.
func (b builder) sharesKeys() bool { return b.t.Spec.KeyRing.Postgres == nil }

// keys is the volume of the key ring. Nobody owns it: without the keys nothing that
// is personal can be read any more, so it outlives the Triangle.
func (b builder) keys() *corev1.PersistentVolumeClaim {
	p := part{component: keysComponent}
	c := &corev1.PersistentVolumeClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: b.meta(p, Name(b.t, keysComponent)),
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		},
	}
	c.OwnerReferences = nil
	if sqlite := b.t.Spec.Database.SQLite; sqlite != nil {
		c.Spec.StorageClassName = sqlite.StorageClassName
		c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: sqlite.Size}
	}
	return c
}

// together adds to an affinity that the pods which share the keys are on one node.
func (b builder) together(affinity *corev1.Affinity) *corev1.Affinity {
	all := affinity.DeepCopy()
	if all == nil {
		all = &corev1.Affinity{}
	}
	if all.PodAffinity == nil {
		all.PodAffinity = &corev1.PodAffinity{}
	}
	required := &all.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	*required = append(*required, corev1.PodAffinityTerm{
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{labelKeys: b.t.Name}},
		TopologyKey:   corev1.LabelHostname,
	})
	return all
}
