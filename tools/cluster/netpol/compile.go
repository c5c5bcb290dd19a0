package netpol

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// State is what policies are compiled from.
type State struct {
	Pods       []corev1.Pod
	Namespaces []corev1.Namespace
	Policies   []networkingv1.NetworkPolicy
	// Processes are the node's own that policies are to take for pods where they name
	// them as peers, such as a name server. No policy selects them.
	Processes []corev1.Pod
}

// Compile tells what policies come to. Where a rule can't be expressed the error says
// which one and why, and the Rules hold without it: it allows nothing.
func Compile(s State) (Rules, error) {
	w, err := newWorld(s)
	selected := map[string]*Pod{}
	for _, policy := range sorted(s.Policies, func(p networkingv1.NetworkPolicy) string { return p.Namespace + "/" + p.Name }) {
		if policyErr := w.apply(policy, selected); policyErr != nil {
			err = errors.Join(err, fmt.Errorf("NetworkPolicy %s/%s: %w", policy.Namespace, policy.Name, policyErr))
		}
	}
	var rules Rules
	for _, p := range selected {
		rules.Pods = append(rules.Pods, *p)
	}
	slices.SortFunc(rules.Pods, func(a, b Pod) int { return cmp.Compare(a.Name, b.Name) })
	return rules, err
}

// sorted returns a copy, so that the same objects come to the same rules.
func sorted[T any](all []T, by func(T) string) []T {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(by(a), by(b)) })
	return all
}

// apply adds what a policy says of each pod that it selects. A selector that can't be
// read selects all of the namespace: what a policy means to close is not left open.
func (w *world) apply(policy networkingv1.NetworkPolicy, to map[string]*Pod) error {
	selects, err := selector(&policy.Spec.PodSelector)
	for _, e := range w.pods {
		if e.process || e.namespace != policy.Namespace || !selects.Matches(e.labels) {
			continue
		}
		p := to[e.name]
		if p == nil {
			p = &Pod{Name: e.name, Addresses: e.addresses}
			to[e.name] = p
		}
		for _, direction := range typesOf(policy.Spec) {
			var directionErr error
			switch direction {
			case networkingv1.PolicyTypeIngress:
				directionErr = w.openIngress(policy, e, &p.Ingress)
			case networkingv1.PolicyTypeEgress:
				directionErr = w.openEgress(policy, &p.Egress)
			default:
				directionErr = fmt.Errorf("the policy type %s is none: write Ingress or Egress", direction)
			}
			err = cmp.Or(err, directionErr) // it is the same of each pod
		}
	}
	return err
}

// typesOf are the directions that a policy closes, as the API server fills them in.
func typesOf(spec networkingv1.NetworkPolicySpec) []networkingv1.PolicyType {
	switch {
	case len(spec.PolicyTypes) > 0:
		return spec.PolicyTypes
	case len(spec.Egress) > 0:
		return []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	default:
		return []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	}
}

// openIngress adds what may go into a pod, at the ports that have their names from it.
func (w *world) openIngress(policy networkingv1.NetworkPolicy, to endpoint, d *Direction) (err error) {
	d.Isolated = true
	for i, rule := range policy.Spec.Ingress {
		peers, peersErr := w.peers(policy.Namespace, rule.From)
		ports, named, portsErr := portsOf(rule.Ports)
		if ruleErr := errors.Join(peersErr, portsErr); ruleErr != nil {
			err = errors.Join(err, fmt.Errorf("ingress[%d]: %w", i, ruleErr))
			continue
		}
		for _, n := range named {
			ports = append(ports, to.ports[n]...)
		}
		d.allow(Allowance{peers, ports}, len(rule.From), len(rule.Ports))
	}
	return err
}

// openEgress adds what may come out of a pod, at the ports of whom it calls: whoever has
// no port of a name is not called by it.
func (w *world) openEgress(policy networkingv1.NetworkPolicy, d *Direction) (err error) {
	d.Isolated = true
	for i, rule := range policy.Spec.Egress {
		peers, peersErr := w.peers(policy.Namespace, rule.To)
		ports, named, portsErr := portsOf(rule.Ports)
		if ruleErr := errors.Join(peersErr, portsErr); ruleErr != nil {
			err = errors.Join(err, fmt.Errorf("egress[%d]: %w", i, ruleErr))
			continue
		}
		d.allow(Allowance{peers, ports}, len(rule.To), len(rule.Ports))
		for _, n := range named {
			for _, e := range w.pods {
				if at := e.within(peers, len(rule.To)); len(at) > 0 && len(e.ports[n]) > 0 {
					d.Allowed = append(d.Allowed, Allowance{at, e.ports[n]})
				}
			}
		}
	}
	return err
}

// allow adds an allowance, unless the peers or ports that a rule names come to none:
// then it allows nothing, and not everything.
func (d *Direction) allow(a Allowance, peersNamed, portsNamed int) {
	if (peersNamed == 0 || len(a.Peers) > 0) && (portsNamed == 0 || len(a.Ports) > 0) {
		d.Allowed = append(d.Allowed, a)
	}
}

// within are the addresses of a pod that a rule's peers hold, of which it names so many.
func (e endpoint) within(peers []Block, named int) (at []Block) {
	for _, a := range e.addresses {
		if named == 0 || len(peers) > 0 && contains(peers, a) {
			at = append(at, one(a))
		}
	}
	return at
}

func one(a netip.Addr) Block { return Block{Prefix: netip.PrefixFrom(a, a.BitLen())} }
