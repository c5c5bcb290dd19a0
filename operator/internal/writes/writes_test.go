package writes_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/client-go/rest"

	"github.com/triangle-suite/triangle/operator/internal/writes"
)

func TestResource(t *testing.T) {
	for name, tc := range map[string]struct{ path, want string }{
		"a list":                          {"/apis/triangle.dev/v1alpha1/namespaces/shop/informationflows", "informationflows"},
		"one of it":                       {"/apis/triangle.dev/v1alpha1/namespaces/shop/informationflows/facts", "informationflows"},
		"its status":                      {"/apis/triangle.dev/v1alpha1/namespaces/shop/informationflows/facts/status", "informationflows/status"},
		"of the core":                     {"/api/v1/namespaces/shop/services/sales", "services"},
		"a namespace itself":              {"/api/v1/namespaces/shop", "namespaces"},
		"of no namespace":                 {"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/x", "customresourcedefinitions"},
		"behind a proxy with a path":      {"/clusters/one/apis/coordination.k8s.io/v1/namespaces/shop/leases/triangle-operator", "leases"},
		"no resource":                     {"/healthz", ""},
		"a version, and nothing after it": {"/apis/triangle.dev/v1alpha1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := writes.Resource(tc.path); got != tc.want {
				t.Errorf("%s is %q, want %q", tc.path, got, tc.want)
			}
		})
	}
}

// What only reads is not counted; what is refused is, as it was asked.
func TestWritesAreCounted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) }))
	defer server.Close()
	counter := writes.New()
	client, err := rest.HTTPClientFor(counter.Watch(&rest.Config{Host: server.URL}))
	if err != nil {
		t.Fatal(err)
	}
	const path = "/apis/triangle.dev/v1alpha1/namespaces/shop/informationflows/facts/status"
	for _, method := range []string{http.MethodGet, http.MethodPatch, http.MethodPatch, http.MethodDelete} {
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for verb, want := range map[string]float64{"patch": 2, "delete": 1, "get": 0} {
		if got := testutil.ToFloat64(counter.WithLabelValues("informationflows/status", verb)); got != want {
			t.Errorf("%v times %s was counted, want %v", got, verb, want)
		}
	}
}
