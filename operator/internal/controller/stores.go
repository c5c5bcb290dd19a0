package controller

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/migrate"
	"github.com/triangle-suite/triangle/operator/internal/workload"
	"github.com/triangle-suite/triangle/services/control"
)

// store is the connection to an environment's event store.
type store struct {
	*control.Flows
	connection string
	ca         string // a file; empty: none
	// since is since when it could be reached without a break; the zero time while it
	// can't.
	since time.Time
}

// stores are the connections that are open, one for each environment.
type stores struct {
	mu   sync.Mutex
	open map[types.NamespacedName]*store
}

// of returns the connection of an environment, which is made anew when what it is
// made of has changed; written to it is only while one may.
func (s *stores) of(name types.NamespacedName, connection string, ca []byte, may func() error) (*store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := connection + "\n" + string(ca)
	if known := s.open[name]; known != nil && known.connection == wanted {
		return known, nil
	}
	if err := s.close(name); err != nil {
		return nil, err
	}
	made := &store{connection: wanted}
	if len(ca) > 0 {
		var err error
		if connection, made.ca, err = withCA(connection, ca); err != nil {
			return nil, err
		}
	}
	flows, err := control.Connect(connection)
	if err != nil { // nobody is connected to yet: it is the string
		return nil, errors.Join(errConnectionString, made.forgetCA())
	}
	if may != nil {
		flows = flows.Guarded(may)
	}
	made.Flows = flows
	if s.open == nil {
		s.open = map[types.NamespacedName]*store{}
	}
	s.open[name] = made
	return made, nil
}

// What somebody has to mend in a Secret. What the client itself says of a connection
// string may have its password in it.
var (
	errConnectionString = errors.New("the connection string of the event store can't be used: write esdb://host:2113 for one node, or esdb+discover://host:2113 for a cluster")
	errCertificates     = errors.New("the event store's CA holds no certificate: write PEM, which begins with -----BEGIN CERTIFICATE-----")
)

// withCA has the store's client trust certificates besides: it takes a file.
func withCA(connection string, pem []byte) (with, file string, err error) {
	u, err := url.Parse(connection)
	if err != nil {
		return "", "", errConnectionString
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return "", "", errCertificates
	}
	dir, err := os.MkdirTemp("", "triangle-ca-")
	if err != nil {
		return "", "", fmt.Errorf("keep the store's certificates: %w", err)
	}
	file = filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(file, pem, 0o600); err != nil {
		return "", "", fmt.Errorf("keep the store's certificates: %w", err)
	}
	query := u.Query()
	query.Set("tlsCaFile", file)
	u.RawQuery = query.Encode()
	return u.String(), file, nil
}

// drop closes the connection of an environment that is no more.
func (s *stores) drop(name types.NamespacedName) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.close(name)
}

func (s *stores) close(name types.NamespacedName) error {
	known := s.open[name]
	if known == nil {
		return nil
	}
	delete(s.open, name)
	return errors.Join(known.Close(), known.forgetCA())
}

// forgetCA removes the file of the certificates that the connection trusts.
func (s *store) forgetCA() error {
	if s.ca == "" {
		return nil
	}
	if err := os.RemoveAll(filepath.Dir(s.ca)); err != nil {
		return fmt.Errorf("forget the store's certificates: %w", err)
	}
	return nil
}

// secretError is a Secret that is not as the spec wants it: somebody's turn.
type secretError struct{ message string }

func (e secretError) Error() string { return e.message }

// secretKey returns what a key of a Secret holds. It fails with a secretError.
func secretKey(ctx context.Context, reader client.Reader, namespace string, key v1alpha1.SecretKey) ([]byte, error) {
	var secret corev1.Secret
	err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: key.Name}, &secret)
	switch {
	case apierrors.IsNotFound(err):
		return nil, secretError{fmt.Sprintf("there is no Secret %s: make one with the key %s", key.Name, key.Key)}
	case err != nil:
		return nil, fmt.Errorf("read the Secret %s: %w", key.Name, err)
	case len(secret.Data[key.Key]) == 0:
		return nil, secretError{fmt.Sprintf("the Secret %s has no key %s: add it", key.Name, key.Key)}
	}
	return secret.Data[key.Key], nil
}

// checkSecrets fails with a secretError for the first key that is not there.
func checkSecrets(ctx context.Context, reader client.Reader, t *v1alpha1.Triangle) error {
	for _, key := range workload.Secrets(t) {
		if _, err := secretKey(ctx, reader, t.Namespace, key); err != nil {
			return err
		}
	}
	return nil
}

// connect returns the connection to a Triangle's store.
func (r *Triangles) connect(ctx context.Context, t *v1alpha1.Triangle) (*store, error) {
	connection, ca := workload.StoreAddress(t), []byte(nil)
	if ref := t.Spec.EventStore.ConnectionSecretRef; ref != nil {
		text, err := secretKey(ctx, r.Reader, t.Namespace, *ref)
		if err != nil {
			return nil, err
		}
		connection = string(text)
	}
	if ref := t.Spec.EventStore.CASecretRef; ref != nil {
		pem, err := secretKey(ctx, r.Reader, t.Namespace, *ref)
		if err != nil {
			return nil, err
		}
		ca = pem
	}
	return r.stores.of(client.ObjectKeyFromObject(t), connection, ca, r.May)
}

// Store implements migrate.Stores: the store of the first Triangle of a namespace,
// which is the one that counts.
func (r *Triangles) Store(ctx context.Context, namespace string) (*control.Flows, error) {
	var all v1alpha1.TriangleList
	if err := r.Client.List(ctx, &all, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list the Triangles of %s: %w", namespace, err)
	}
	if len(all.Items) == 0 {
		return nil, migrate.ErrNoEnvironment
	}
	t := first(all.Items)
	found, err := r.connect(ctx, &t)
	if err != nil {
		return nil, err
	}
	return found.Flows, nil
}

// first is the Triangle that was there first.
func first(all []v1alpha1.Triangle) v1alpha1.Triangle {
	return slices.MinFunc(all, func(a, b v1alpha1.Triangle) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
}
