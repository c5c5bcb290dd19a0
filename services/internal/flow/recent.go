package flow

import "strings"

// recentMax is how many keys a generation of recent chains has: some 4 MiB each.
const recentMax = 1 << 15

// recentChains are those that an intake's last transactions have left, so that
// they need not be read again. They hold for as long as the checkpoint is where
// this intake has left it: whoever else links events to a key moves that too, and
// the next transaction fails. Then, and whenever the flow is taken over, they are
// forgotten.
//
// Keys that have not been used for two generations are let go.
type recentChains struct {
	epoch      uint64
	young, old map[string]chain
}

func (r *recentChains) forget() { *r = recentChains{} }

// keep takes over what a transaction has left that was committed.
func (r *recentChains) keep(c chains) {
	if r.epoch != c.epoch {
		*r = recentChains{epoch: c.epoch}
	}
	if len(r.young)+len(c.known) > recentMax {
		r.young, r.old = nil, r.young
	}
	if r.young == nil {
		r.young = make(map[string]chain, len(c.known))
	}
	for key, link := range c.known {
		if _, ok := r.young[key]; !ok {
			key = strings.Clone(key) // it is part of its event, which can go
		}
		r.young[key] = link
	}
}

func (r *recentChains) of(epoch uint64, key string) (c chain, ok bool) {
	if r.epoch != epoch {
		return chain{}, false
	}
	if c, ok = r.young[key]; !ok {
		c, ok = r.old[key]
	}
	return c, ok
}
