package run

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// errDeposed says that this replica may not write: it does not lead, or can't know
// that it does.
var errDeposed = errors.New("this replica does not lead any more: nothing was written")

// lease is what the replicas agree by who leads. A leader that stood still for a
// while, and goes on, learns a little later only that another one leads: until it
// ends, what it wants to write is refused here, by the age of its last renewal.
//
//	renewed ──────────── limit ─────────── another one may take over
//	   may write           │  may not any more
type lease struct {
	resourcelock.Interface

	limit time.Duration // shorter than the lease lasts
	now   func() time.Time

	mu      sync.Mutex
	renewed time.Time // the zero time: it does not lead
}

// newLease reaches the Lease, past what is refused to who does not lead.
func newLease(cluster *rest.Config, s Settings) (*lease, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("the name of this replica: %w", err)
	}
	who := resourcelock.ResourceLockConfig{Identity: host + "_" + uuid.NewString()}
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, s.Home, leaseName, who, cluster, s.RenewDeadline)
	if err != nil {
		return nil, fmt.Errorf("reach the lease of who leads: %w", err)
	}
	return &lease{Interface: lock, limit: s.RenewDeadline, now: time.Now}, nil
}

// Create implements resourcelock.Interface.
func (l *lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.renew(record, func() error { return l.Interface.Create(ctx, record) })
}

// Update implements resourcelock.Interface.
func (l *lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.renew(record, func() error { return l.Interface.Update(ctx, record) })
}

// renew counts from before the renewal was sent: others do from when they saw it.
func (l *lease) renew(record resourcelock.LeaderElectionRecord, write func() error) error {
	at := l.now()
	if err := write(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.renewed = at; record.HolderIdentity != l.Identity() {
		l.renewed = time.Time{} // it was given back
	}
	return nil
}

// held fails with errDeposed unless this replica is sure to lead.
func (l *lease) held() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.renewed.IsZero() || l.now().Sub(l.renewed) > l.limit {
		return errDeposed
	}
	return nil
}

// guard has what is written to the cluster refused unless one may.
func guard(cluster *rest.Config, may func() error) *rest.Config {
	guarded := rest.CopyConfig(cluster)
	guarded.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method != http.MethodGet {
				if err := may(); err != nil {
					if r.Body != nil {
						err = errors.Join(err, r.Body.Close())
					}
					return nil, err
				}
			}
			return next.RoundTrip(r)
		})
	})
	return guarded
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }
