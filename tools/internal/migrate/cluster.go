// Package migrate looks at the migrations of flows on a Kubernetes cluster, and steers
// them as somebody with a kubeconfig may: by approvals, and by annotations that the
// operator follows.
package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // whatever way of logging in the kubeconfig names
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// Errors of who can't be served, each with what to do.
var (
	// ErrNoCluster says that nothing tells which cluster to work on.
	ErrNoCluster = errors.New("no cluster to work on: have KUBECONFIG name the file that leads to it, as kubectl does")
	// ErrNoKinds says that the cluster knows nothing of flows.
	ErrNoKinds = errors.New("the cluster has no InformationFlows: install Triangle's operator with its CRDs there, or name another cluster with --context")
	// ErrNoFlow says that there is no flow of this name.
	ErrNoFlow = errors.New("there is no such flow")
)

// Cluster is a namespace of a cluster, as somebody sees it.
type Cluster struct {
	// Namespace is the one that is worked in.
	Namespace string

	client client.Client
	host   string
}

// Connect takes the cluster of the kubeconfig's context, and that one's namespace,
// unless it is told others. It asks nothing of the cluster.
func Connect(contextName, namespace string) (*Cluster, error) {
	config, namespace, err := Config(contextName, namespace)
	if err != nil {
		return nil, err
	}
	return connect(config, namespace)
}

// Config is how to reach the cluster that Connect takes, and the namespace.
func Config(contextName, namespace string) (*rest.Config, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	loaded := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: contextName})
	if err := checkContext(loaded, contextName); err != nil {
		return nil, "", err
	}
	config, err := loaded.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, "", ErrNoCluster
	}
	if err == nil && namespace == "" {
		namespace, _, err = loaded.Namespace()
	}
	if err != nil {
		return nil, "", fmt.Errorf("read the kubeconfig: %w", err)
	}
	return config, namespace, nil
}

func checkContext(loaded clientcmd.ClientConfig, name string) error {
	raw, err := loaded.RawConfig()
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	if _, there := raw.Contexts[name]; name == "" || there {
		return nil
	}
	var names []string
	for known := range raw.Contexts {
		names = append(names, known)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return ErrNoCluster
	}
	return fmt.Errorf("--context: the kubeconfig has no %q, but %s", name, strings.Join(names, ", "))
}

// connect makes a client that knows the kinds it needs, and so asks for nothing but
// what it is after.
func connect(config *rest.Config, namespace string) (*Cluster, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), authenticationv1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("make a scheme: %w", err)
	}
	log.SetLogger(logr.Discard()) // what the client would log it also returns
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []string{"InformationFlow", "FlowApproval"} {
		mapper.Add(v1alpha1.GroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	mapper.Add(authenticationv1.SchemeGroupVersion.WithKind("SelfSubjectReview"), meta.RESTScopeRoot)
	c, err := client.New(config, client.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	return &Cluster{Namespace: namespace, client: c, host: config.Host}, nil
}

// Flows returns all flows of the namespace, by name.
func (c *Cluster) Flows(ctx context.Context) ([]v1alpha1.InformationFlow, error) {
	return c.flowsIn(ctx, c.Namespace)
}

// AllFlows returns the flows of all namespaces, by namespace and name.
func (c *Cluster) AllFlows(ctx context.Context) ([]v1alpha1.InformationFlow, error) {
	return c.flowsIn(ctx, metav1.NamespaceAll)
}

func (c *Cluster) flowsIn(ctx context.Context, namespace string) ([]v1alpha1.InformationFlow, error) {
	var all v1alpha1.InformationFlowList
	if err := c.client.List(ctx, &all, client.InNamespace(namespace)); err != nil {
		if apierrors.IsNotFound(err) { // a list is always there, unless its kind is not
			return nil, ErrNoKinds
		}
		return nil, c.explain(err)
	}
	slices.SortFunc(all.Items, func(a, b v1alpha1.InformationFlow) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return all.Items, nil
}

// Flow returns one flow. It fails with ErrNoFlow, and then names those that are there.
func (c *Cluster) Flow(ctx context.Context, name string) (*v1alpha1.InformationFlow, error) {
	var flow v1alpha1.InformationFlow
	err := c.client.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: name}, &flow)
	switch {
	case err == nil:
		return &flow, nil
	case !apierrors.IsNotFound(err):
		return nil, c.explain(err)
	}
	all, err := c.Flows(ctx)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%q: %w: namespace %s has none; name another one with --namespace", name, ErrNoFlow, c.Namespace)
	}
	names := make([]string, 0, len(all))
	for i := range all {
		names = append(names, all[i].Name)
	}
	return nil, fmt.Errorf("%q: %w; namespace %s has %s", name, ErrNoFlow, c.Namespace, strings.Join(names, ", "))
}

// Whoami returns the name by which the API server knows who asks.
func (c *Cluster) Whoami(ctx context.Context) (string, error) {
	review := &authenticationv1.SelfSubjectReview{}
	if err := c.client.Create(ctx, review); err != nil {
		return "", c.explain(err)
	}
	return review.Status.UserInfo.Username, nil
}

// explain tells a cluster that is not there from one that refuses.
func (c *Cluster) explain(err error) error {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &status):
		return fmt.Errorf("the cluster at %s does not answer: name another one with --context, or see whether it runs: %w", c.host, err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the cluster at %s does not know you: log in to it, or name another user with --context: %w", c.host, err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("you may not do that: the roles triangle-viewer, triangle-approver and triangle-editor let you look, approve and steer: %w", err)
	}
	return err
}
