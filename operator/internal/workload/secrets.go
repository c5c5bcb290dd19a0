package workload

import (
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// Secrets are the keys that the spec refers to.
func Secrets(t *v1alpha1.Triangle) (all []v1alpha1.SecretKey) {
	spec := t.Spec
	for _, key := range []*v1alpha1.SecretKey{spec.EventStore.ConnectionSecretRef, spec.EventStore.CASecretRef, spec.Pods.CASecretRef} {
		if key != nil {
			all = append(all, *key)
		}
	}
	for _, pg := range []*v1alpha1.Postgres{spec.Database.Postgres, spec.KeyRing.Postgres} {
		if pg != nil {
			all = append(all, pg.URLSecretRef)
		}
	}
	for _, service := range flows.Services {
		for _, v := range SpecOf(t, service).Env {
			if v.SecretRef != nil {
				all = append(all, *v.SecretRef)
			}
		}
	}
	return all
}
