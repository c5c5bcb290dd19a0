package netpol_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/triangle-suite/triangle/tools/cluster/netpol"
)

// Whatever the policies are, the rules allow what somebody does who reads the policies
// again for each connection.
func TestTheRulesSayWhatThePoliciesDo(t *testing.T) {
	var allowed, dropped int
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 0))
		state := randomState(r)
		rules, err := netpol.Compile(state)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for range 40 {
			c := randomConnection(r, state)
			want := twin{state}.allows(c)
			if got := rules.Allows(c); got != want {
				t.Fatalf("seed %d: %+v: allowed is %t, want %t, by\n%s", seed, c, got, want, rules.Ruleset())
			}
			if want {
				allowed++
			} else {
				dropped++
			}
		}
	}
	if min(allowed, dropped) < 10_000 {
		t.Errorf("%d connections are allowed and %d dropped: too few to tell", allowed, dropped)
	}
}

// twin reads policies as the documentation of Kubernetes tells of them.
type twin struct{ netpol.State }

func (w twin) allows(c netpol.Connection) bool {
	from, to := w.at(c.From), w.at(c.To)
	if from != nil && from == to {
		return true
	}
	return w.direction(networkingv1.PolicyTypeEgress, from, to, c) && w.direction(networkingv1.PolicyTypeIngress, to, from, c)
}

// direction tells whether whoever is closed in a direction opens it to another one.
func (w twin) direction(d networkingv1.PolicyType, self, other *corev1.Pod, c netpol.Connection) bool {
	isolated := false
	for _, p := range w.Policies {
		if self == nil || self.Namespace != p.Namespace || !matches(&p.Spec.PodSelector, self.Labels) || !slices.Contains(p.Spec.PolicyTypes, d) {
			continue
		}
		isolated = true
		if d == networkingv1.PolicyTypeIngress {
			for _, r := range p.Spec.Ingress {
				if w.peers(r.From, p.Namespace, other, c.From) && ports(r.Ports, self, c) {
					return true
				}
			}
			continue
		}
		for _, r := range p.Spec.Egress {
			if w.peers(r.To, p.Namespace, other, c.To) && ports(r.Ports, other, c) {
				return true
			}
		}
	}
	return !isolated
}

func (w twin) peers(peers []networkingv1.NetworkPolicyPeer, namespace string, other *corev1.Pod, at netip.Addr) bool {
	return len(peers) == 0 || slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool {
		if p.IPBlock != nil {
			within := func(block string) bool { return netip.MustParsePrefix(block).Contains(at) }
			return within(p.IPBlock.CIDR) && !slices.ContainsFunc(p.IPBlock.Except, within)
		}
		if other == nil {
			return false
		}
		if p.NamespaceSelector == nil {
			return other.Namespace == namespace && matches(p.PodSelector, other.Labels)
		}
		i := slices.IndexFunc(w.Namespaces, func(n corev1.Namespace) bool { return n.Name == other.Namespace })
		return matches(p.NamespaceSelector, w.Namespaces[i].Labels) && (p.PodSelector == nil || matches(p.PodSelector, other.Labels))
	})
}

func ports(ports []networkingv1.NetworkPolicyPort, called *corev1.Pod, c netpol.Connection) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		switch {
		case *p.Protocol != c.Protocol:
			return false
		case p.Port == nil:
			return true
		case p.Port.Type == intstr.String:
			return called != nil && slices.ContainsFunc(called.Spec.Containers[0].Ports, func(at corev1.ContainerPort) bool {
				return at.Name == p.Port.StrVal && at.Protocol == c.Protocol && at.ContainerPort == int32(c.Port)
			})
		case p.EndPort != nil:
			return p.Port.IntVal <= int32(c.Port) && int32(c.Port) <= *p.EndPort
		default:
			return p.Port.IntVal == int32(c.Port)
		}
	})
}

func matches(s *metav1.LabelSelector, set labels.Set) bool {
	selector, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(set)
}

func (w twin) at(a netip.Addr) *corev1.Pod {
	for i, p := range w.Pods {
		if slices.Contains(p.Status.PodIPs, corev1.PodIP{IP: a.String()}) {
			return &w.Pods[i]
		}
	}
	return nil
}

// randomState has few values of each kind, so that they meet.
func randomState(r *rand.Rand) (s netpol.State) {
	for i, team := range []string{"a", "b"} {
		s.Namespaces = append(s.Namespaces, namespace(team, "team="+team))
		for j := range 3 {
			n := i*3 + j + 2
			s.Pods = append(s.Pods, pod(fmt.Sprintf("%s/p%d 10.77.0.%d,fd77::%d app=%s,tier=%s web=%d/TCP web=%d/UDP", team, j, n, n, pick(r, "x", "y"), pick(r, "x", "y"), pick(r, 80, 81), pick(r, 80, 81))))
		}
	}
	for i := range r.IntN(5) {
		p := networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: pick(r, "a", "b"), Name: fmt.Sprint(i)}}
		p.Spec.PodSelector = randomSelector(r)
		p.Spec.PolicyTypes = pick(r, []networkingv1.PolicyType{"Ingress"}, []networkingv1.PolicyType{"Egress"}, []networkingv1.PolicyType{"Ingress", "Egress"})
		for range r.IntN(3) {
			p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: many(r, randomPeer), Ports: many(r, randomPort)})
			p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: many(r, randomPeer), Ports: many(r, randomPort)})
		}
		s.Policies = append(s.Policies, p)
	}
	return s
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func many[T any](r *rand.Rand, one func(*rand.Rand) T) (all []T) {
	for range r.IntN(3) {
		all = append(all, one(r))
	}
	return all
}

func randomSelector(r *rand.Rand) metav1.LabelSelector {
	value := pick(r, "x", "y")
	return pick(r, metav1.LabelSelector{}, metav1.LabelSelector{MatchLabels: map[string]string{pick(r, "app", "tier"): value}},
		metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpNotIn, Values: []string{value}}}})
}

func randomPeer(r *rand.Rand) networkingv1.NetworkPolicyPeer {
	pods := randomSelector(r)
	namespaces := pick(r, metav1.LabelSelector{}, metav1.LabelSelector{MatchLabels: map[string]string{"team": pick(r, "a", "b")}})
	return pick(r, networkingv1.NetworkPolicyPeer{PodSelector: &pods}, networkingv1.NetworkPolicyPeer{NamespaceSelector: &namespaces},
		networkingv1.NetworkPolicyPeer{PodSelector: &pods, NamespaceSelector: &namespaces},
		networkingv1.NetworkPolicyPeer{IPBlock: pick(r, &networkingv1.IPBlock{CIDR: "10.77.0.0/29", Except: []string{"10.77.0.2/31", "10.77.0.6/32"}},
			&networkingv1.IPBlock{CIDR: "0.0.0.0/0"}, &networkingv1.IPBlock{CIDR: "::/0", Except: []string{"fd77::4/126"}}, &networkingv1.IPBlock{CIDR: "fd77::2/128"})})
}

func randomPort(r *rand.Rand) networkingv1.NetworkPolicyPort {
	protocol := pick(r, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
	number, name, end := intstr.FromInt32(pick(r, int32(80), 82)), intstr.FromString(pick(r, "web", "none")), int32(83)
	return pick(r, networkingv1.NetworkPolicyPort{Protocol: &protocol}, networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &number},
		networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &number, EndPort: &end}, networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &name})
}

// randomConnection is of one family of addresses, between pods or with somebody else.
func randomConnection(r *rand.Rand, s netpol.State) netpol.Connection {
	family := r.IntN(2)
	somebody := func() netip.Addr {
		if n := r.IntN(len(s.Pods) + 1); n < len(s.Pods) {
			return netip.MustParseAddr(s.Pods[n].Status.PodIPs[family].IP)
		}
		return netip.MustParseAddr([]string{"192.0.2.7", "2001:db8::7"}[family])
	}
	return netpol.Connection{From: somebody(), To: somebody(), Protocol: pick(r, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP), Port: uint16(80 + r.IntN(5))}
}
