package controller_test

import (
	"net/url"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
)

// The store speaks TLS, wants a password, and was certified by somebody of one's own:
// whom to trust is in a Secret, and no file's name is in the connection string.
func TestAStoreWithAPrivateCertificateIsReached(t *testing.T) {
	w := newWorld(t, eventstoretest.WithUser("operator", "not to be guessed"))
	whole, err := url.Parse(w.store.ConnectionString())
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(whole.Query().Get("tlsCaFile"))
	if err != nil {
		t.Fatal(err)
	}
	whole.RawQuery = "tls=true"
	w.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "tls", Namespace: w.namespace},
		Data:       map[string][]byte{"connection": []byte(whole.String()), "ca.crt": pem},
	})
	triangle := w.triangle()
	triangle.Spec.EventStore.ConnectionSecretRef.Name = "tls"
	w.create(triangle)
	w.stands(v1alpha1.ConditionEventStoreReachable, metav1.ConditionFalse, "does not answer") // nobody has said whom to trust
	w.change(func(t *v1alpha1.Triangle) {
		t.Spec.EventStore.CASecretRef = &v1alpha1.SecretKey{Name: "tls", Key: "ca.crt"}
	})
	w.serves()
}
