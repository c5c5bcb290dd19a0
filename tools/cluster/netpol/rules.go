package netpol

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Rules are what policies come to: an entry for each pod that one selects. All other
// pods are open.
type Rules struct{ Pods []Pod }

// Pod is one that a policy selects.
type Pod struct {
	Name            string // namespace/name
	Addresses       []netip.Addr
	Ingress, Egress Direction
}

// Direction is what goes into a pod, or comes out of it.
type Direction struct {
	Isolated bool // nothing passes but what is allowed; else everything does
	Allowed  []Allowance
}

// Allowance is whom a direction is open to, at which ports of whoever is called.
type Allowance struct {
	Peers []Block // none: everybody
	Ports []Port  // none: every protocol, at every port
}

// Block is a range of addresses, but for some within it.
type Block struct {
	Prefix netip.Prefix
	Except []netip.Prefix
}

// Port is a range of ports, both ends included. It is all of the protocol's when both
// are 0.
type Port struct {
	Protocol    corev1.Protocol
	First, Last uint16
}

// Connection is one that somebody would begin. Addresses are those behind a Service.
type Connection struct {
	From, To netip.Addr
	Protocol corev1.Protocol
	Port     uint16
}

// Allows tells whether a connection may begin.
func (r Rules) Allows(c Connection) bool {
	for _, p := range r.Pods {
		from, to := slices.Contains(p.Addresses, c.From), slices.Contains(p.Addresses, c.To)
		if from && to {
			continue
		}
		if from && !p.Egress.allows(c.To, c) || to && !p.Ingress.allows(c.From, c) {
			return false
		}
	}
	return true
}

func (d Direction) allows(peer netip.Addr, c Connection) bool {
	return !d.Isolated || slices.ContainsFunc(d.Allowed, func(a Allowance) bool {
		return contains(a.Peers, peer) &&
			(len(a.Ports) == 0 || slices.ContainsFunc(a.Ports, func(p Port) bool { return p.contains(c.Protocol, c.Port) }))
	})
}

// contains tells whether an address is in one of some blocks, or there are none.
func contains(blocks []Block, a netip.Addr) bool {
	return len(blocks) == 0 || slices.ContainsFunc(blocks, func(b Block) bool {
		return b.Prefix.Contains(a) && !slices.ContainsFunc(b.Except, func(e netip.Prefix) bool { return e.Contains(a) })
	})
}

func (p Port) contains(protocol corev1.Protocol, port uint16) bool {
	return p.Protocol == protocol && (p.all() || p.First <= port && port <= p.Last)
}

func (p Port) all() bool { return p.First == 0 && p.Last == 0 }
