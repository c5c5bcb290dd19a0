package migrate

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// moment is for how long the status waits for what may turn next.
const moment = time.Second

// attention is what is remembered of when flows were looked at, so that no more is
// read and written than has to be. It goes by this process's own clock, as nothing
// is decided on it.
type attention struct {
	mu   sync.Mutex
	paid map[types.NamespacedName]paid
}

// paid is the attention that was paid to an InformationFlow.
type paid struct {
	looked time.Time // when it was looked at last
	turned time.Time // when its status turned that has not been told; the zero time: it is told
}

// change changes what is remembered of one, and returns it as it is then.
func (a *attention) change(name types.NamespacedName, by func(*paid)) paid {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.paid == nil {
		a.paid = map[types.NamespacedName]paid{}
	}
	p := a.paid[name]
	by(&p)
	a.paid[name] = p
	return p
}

// look notes that it is looked at now.
func (a *attention) look(name types.NamespacedName) {
	a.change(name, func(p *paid) { p.looked = time.Now() })
}

// rest is in what time to look at it for news of the frequent kind.
func (a *attention) rest(name types.NamespacedName) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return max(0, patience-time.Since(a.paid[name].looked))
}

// untold notes whether the status has turned and is not told, and returns in what
// time it is to be.
func (a *attention) untold(name types.NamespacedName, turned bool) time.Duration {
	p := a.change(name, func(p *paid) {
		switch {
		case !turned:
			p.turned = time.Time{}
		case p.turned.IsZero():
			p.turned = time.Now()
		}
	})
	if !turned {
		return 0
	}
	return moment - time.Since(p.turned)
}

// forget drops what is remembered of one that is no more.
func (a *attention) forget(name types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.paid, name)
}
