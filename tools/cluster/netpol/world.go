package netpol

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// world is who can be a peer.
type world struct {
	pods       []endpoint
	namespaces map[string]labels.Set
}

// endpoint is a pod that has addresses, or a process that is taken for one.
type endpoint struct {
	name      string // namespace/name
	namespace string
	labels    labels.Set
	addresses []netip.Addr
	ports     map[portName][]Port
	process   bool
}

// portName is what a container calls a port.
type portName struct {
	protocol corev1.Protocol
	name     string
}

func newWorld(s State) (*world, error) {
	w := &world{namespaces: map[string]labels.Set{}}
	for _, n := range s.Namespaces {
		w.namespaces[n.Name] = n.Labels
	}
	var errs []error
	for i, p := range slices.Concat(s.Pods, s.Processes) {
		process := i >= len(s.Pods)
		if !process && (p.Spec.HostNetwork || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed) {
			continue // its address is the node's, or another pod's by now
		}
		e, err := newEndpoint(p, process)
		errs = append(errs, err)
		if len(e.addresses) > 0 {
			w.pods = append(w.pods, e)
		}
	}
	w.pods = sorted(w.pods, func(e endpoint) string { return e.name })
	return w, errors.Join(errs...)
}

func newEndpoint(p corev1.Pod, process bool) (e endpoint, err error) {
	e = endpoint{
		name: p.Namespace + "/" + p.Name, namespace: p.Namespace, labels: p.Labels,
		ports: map[portName][]Port{}, process: process,
	}
	ips := p.Status.PodIPs
	if len(ips) == 0 && p.Status.PodIP != "" {
		ips = []corev1.PodIP{{IP: p.Status.PodIP}}
	}
	for _, ip := range ips {
		a, parseErr := netip.ParseAddr(ip.IP)
		if parseErr != nil {
			err = errors.Join(err, fmt.Errorf("pod %s: %w", e.name, parseErr))
			continue
		}
		e.addresses = append(e.addresses, a.Unmap())
	}
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		for _, port := range c.Ports {
			if port.Name != "" {
				n := portName{cmp.Or(port.Protocol, corev1.ProtocolTCP), port.Name}
				e.ports[n] = append(e.ports[n], Port{n.protocol, uint16(port.ContainerPort), uint16(port.ContainerPort)})
			}
		}
	}
	return e, err
}

// selector reads one. Where it can't be read, it is one of everything.
func selector(s *metav1.LabelSelector) (labels.Selector, error) {
	read, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Everything(), err
	}
	return read, nil
}

// peers are the addresses of those that a rule names.
func (w *world) peers(namespace string, named []networkingv1.NetworkPolicyPeer) (blocks []Block, err error) {
	var pods []netip.Addr
	for _, peer := range named {
		switch {
		case peer.IPBlock != nil && (peer.PodSelector != nil || peer.NamespaceSelector != nil):
			return nil, errors.New("a peer is an ipBlock, or what selectors find: make two of it")
		case peer.IPBlock != nil:
			block, err := readBlock(*peer.IPBlock)
			if err != nil {
				return nil, err
			}
			blocks = append(blocks, block)
		case peer.PodSelector == nil && peer.NamespaceSelector == nil:
			return nil, errors.New("a peer names nobody: give it a podSelector, a namespaceSelector or an ipBlock")
		default:
			found, err := w.find(namespace, peer)
			if err != nil {
				return nil, err
			}
			pods = append(pods, found...)
		}
	}
	slices.SortFunc(pods, netip.Addr.Compare)
	for _, a := range slices.Compact(pods) {
		blocks = append(blocks, one(a))
	}
	return blocks, nil
}

// find returns the addresses of the pods that selectors find: of the policy's own
// namespace, unless one selects namespaces.
func (w *world) find(namespace string, peer networkingv1.NetworkPolicyPeer) (found []netip.Addr, err error) {
	pods, namespaces := labels.Everything(), labels.Everything()
	if peer.PodSelector != nil {
		if pods, err = selector(peer.PodSelector); err != nil {
			return nil, err
		}
	}
	if peer.NamespaceSelector != nil {
		if namespaces, err = selector(peer.NamespaceSelector); err != nil {
			return nil, err
		}
	}
	for _, e := range w.pods {
		if peer.NamespaceSelector == nil && e.namespace != namespace {
			continue
		}
		if of, known := w.namespaces[e.namespace]; (known || peer.NamespaceSelector == nil) && namespaces.Matches(of) && pods.Matches(e.labels) {
			found = append(found, e.addresses...)
		}
	}
	return found, nil
}

func readBlock(b networkingv1.IPBlock) (Block, error) {
	prefix, err := netip.ParsePrefix(b.CIDR)
	if err != nil {
		return Block{}, err
	}
	block := Block{Prefix: prefix.Masked()}
	for _, text := range b.Except {
		except, err := netip.ParsePrefix(text)
		if err != nil {
			return Block{}, err
		}
		if except.Bits() < prefix.Bits() || !prefix.Contains(except.Addr()) {
			return Block{}, fmt.Errorf("the exception %s is not within %s", text, b.CIDR)
		}
		block.Except = append(block.Except, except.Masked())
	}
	return block, nil
}

// portsOf reads a rule's ports: those that are numbers, and the names of others.
func portsOf(rule []networkingv1.NetworkPolicyPort) (ports []Port, named []portName, err error) {
	for _, p := range rule {
		protocol := corev1.ProtocolTCP
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		if !slices.Contains([]corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}, protocol) {
			return nil, nil, fmt.Errorf("the protocol %s has no ports that can be told apart: write TCP, UDP or SCTP", protocol)
		}
		switch {
		case p.Port == nil && p.EndPort != nil:
			return nil, nil, errors.New("endPort ends a range that begins nowhere: write port as well")
		case p.Port == nil:
			ports = append(ports, Port{Protocol: protocol})
		case p.Port.Type == intstr.String && p.EndPort != nil:
			return nil, nil, fmt.Errorf("a range can't begin at the port called %s: write its number", p.Port.StrVal)
		case p.Port.Type == intstr.String:
			named = append(named, portName{protocol, p.Port.StrVal})
		default:
			last := p.Port.IntVal
			if p.EndPort != nil {
				last = *p.EndPort
			}
			if p.Port.IntVal < 1 || last < p.Port.IntVal || last > 65535 {
				return nil, nil, fmt.Errorf("%d to %d is no range of ports: write 1 to 65535, the lower one first", p.Port.IntVal, last)
			}
			ports = append(ports, Port{protocol, uint16(p.Port.IntVal), uint16(last)})
		}
	}
	return ports, named, nil
}
