package apitest

import (
	"path/filepath"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Client returns a client of somebody who may do everything. It refuses, rather
// than drops, a field that a kind does not have.
func (s *Server) Client(t testing.TB) client.Client {
	t.Helper()
	return s.ClientOf(t, s.Config)
}

// ClientOf returns a client of somebody.
func (s *Server) ClientOf(t testing.TB, who *rest.Config) client.Client {
	t.Helper()
	c, err := client.New(who, client.Options{Scheme: s.scheme, Mapper: s.mapper})
	if err != nil {
		t.Fatal(err)
	}
	return client.WithFieldValidation(c, metav1.FieldValidationStrict)
}

// Namespace makes a namespace of the test's own. Nothing would empty it if it were
// deleted: it stays until the server ends.
func (s *Server) Namespace(t testing.TB) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := s.Client(t).Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return namespace.Name
}

// User returns who has that name, and a certificate that says so. Nobody has given
// him any rights.
func (s *Server) User(t testing.TB, name string, groups ...string) *rest.Config {
	t.Helper()
	user, err := s.environment.AddUser(envtest.User{Name: name, Groups: groups}, &rest.Config{QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return user.Config()
}

// ServiceAccount makes a service account, and returns who has its token.
func (s *Server) ServiceAccount(t testing.TB, namespace, name string) *rest.Config {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := s.Client(t).Create(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	token := &authenticationv1.TokenRequest{}
	if err := s.Client(t).SubResource("token").Create(t.Context(), account, token); err != nil {
		t.Fatal(err)
	}
	who := rest.AnonymousClientConfig(s.Config)
	who.BearerToken, who.QPS = token.Status.Token, -1
	return who
}

// Kubeconfig writes a file for kubectl and its like, with a context for each of who,
// all in one namespace, and returns its path. No context is the current one but one
// that is alone.
func (s *Server) Kubeconfig(t testing.TB, namespace string, who map[string]*rest.Config) string {
	t.Helper()
	config := api.NewConfig()
	for name, one := range who {
		config.Clusters[name] = &api.Cluster{Server: one.Host, CertificateAuthorityData: one.CAData}
		config.AuthInfos[name] = &api.AuthInfo{ClientCertificateData: one.CertData, ClientKeyData: one.KeyData, Token: one.BearerToken}
		config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name, Namespace: namespace}
		if len(who) == 1 {
			config.CurrentContext = name
		}
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}
