// Package apitest gives tests a real Kubernetes API: kube-apiserver and etcd, which
// it starts once per test binary, with our kinds and what is admitted of them.
//
//	func TestMain(m *testing.M) { os.Exit(apitest.Run(m)) }
//
//	func TestSomething(t *testing.T) { server := apitest.Start(t) … }
//
// KUBEBUILDER_ASSETS names the folder of the programs; make test-operator sets it,
// and builds them where there are none. Without them such tests fail. With -short
// they are left out.
//
// Nothing carries out what the API is told: there are no controllers, no garbage
// collection, no nodes. A test that needs a Deployment to be ready writes its status.
package apitest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/config"
)

// startTimeout is for a machine that is busy with other things.
const startTimeout = 2 * time.Minute

// ErrNoPrograms says that there is no API server to start.
var ErrNoPrograms = errors.New("no kube-apiserver and etcd in the folder that KUBEBUILDER_ASSETS names: run make test-operator, " +
	"which builds them once, or make kubernetes, which also says how to set it")

// the server of this test binary, started when it is first asked for.
var the struct {
	once   sync.Once
	server *Server
	err    error
}

// Server is a Kubernetes API.
type Server struct {
	// Config is of somebody who may do everything.
	Config *rest.Config

	environment *envtest.Environment
	scheme      *runtime.Scheme
	mapper      meta.RESTMapper
}

// Run runs a test binary's tests, and then ends the server if one was started.
// It returns the exit status.
func Run(m interface{ Run() int }) int {
	code := m.Run()
	if the.server == nil {
		return code
	}
	if err := the.server.environment.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "end the API server:", err)
		return 1
	}
	return code
}

// Start returns the test binary's server.
func Start(t testing.TB) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes real processes")
	}
	the.once.Do(func() { the.server, the.err = start() })
	if the.err != nil {
		t.Fatal(the.err)
	}
	return the.server
}

func start() (*Server, error) {
	if err := programs(os.Getenv("KUBEBUILDER_ASSETS")); err != nil {
		return nil, err
	}
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	kinds, err := typed[apiextensionsv1.CustomResourceDefinition](config.CRD)
	if err != nil {
		return nil, err
	}
	never := false
	s := &Server{scheme: scheme, environment: &envtest.Environment{
		Scheme: scheme, CRDs: kinds, UseExistingCluster: &never, ControlPlaneStartTimeout: startTimeout,
	}}
	if s.Config, err = s.environment.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start a Kubernetes API: %w", err), s.environment.Stop())
	}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, s.environment.Stop())
	}
	return s, nil
}

func programs(folder string) error {
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if info, err := os.Stat(filepath.Join(folder, name)); folder == "" || err != nil || info.IsDir() {
			return ErrNoPrograms
		}
	}
	return nil
}

// prepare installs what depends on who asks, and waits until it holds.
func (s *Server) prepare() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	s.Config.QPS = -1 // a test asks as fast as it can
	connections, err := rest.HTTPClientFor(s.Config)
	if err != nil {
		return fmt.Errorf("reach the API server: %w", err)
	}
	if s.mapper, err = apiutil.NewDynamicRESTMapper(s.Config, connections); err != nil {
		return fmt.Errorf("ask for the API's kinds: %w", err)
	}
	c, err := client.New(s.Config, client.Options{Scheme: s.scheme, Mapper: s.mapper})
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	objects, err := Manifests(config.Admission)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := c.Create(ctx, o); err != nil {
			return fmt.Errorf("create %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return awaitAdmission(ctx, c)
}

// Scheme returns a scheme that knows our kinds and those of Kubernetes.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("make a scheme: %w", err)
		}
	}
	return scheme, nil
}
