package netpol_test

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/triangle-suite/triangle/tools/cluster/netpol"
)

func compile(t *testing.T, s netpol.State) netpol.Rules {
	t.Helper()
	rules, err := netpol.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// Real packets: a canary does not come through while a policy holds, and does once it is
// gone. Meanwhile those come through that may, what has begun goes on, and so does what
// the node sends to its pods.
func TestACanaryIsBlockedUntilThePolicyIsGone(t *testing.T) {
	store, channel, canary, node := address(t, "store"), address(t, "channel"), address(t, "canary"), address(t, "node")
	n := newNetwork(t, store, channel, canary)
	at := at(store, 2113)
	n.serve(at, "tcp")
	open := shop
	closed := shop
	closed.Policies = []networkingv1.NetworkPolicy{policy(t, `{podSelector: {matchLabels: {app: store}}, ingress: [{from: [{podSelector: {matchLabels: {app: channel}}}], ports: [{port: db}]}]}`)}

	n.enforce(compile(t, open)) // the kernel knows of a connection only from now on
	if !n.reaches(canary, at, "tcp") {
		t.Fatal("the canary does not reach the store although there is no policy")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	begun, err := n.dial(ctx, canary, at, "tcp")
	if err != nil {
		t.Fatal(err)
	}
	n.enforce(compile(t, closed))
	if n.reaches(canary, at, "tcp") {
		t.Error("the canary reaches the store although the policy forbids it")
	}
	for who, from := range map[string]netip.Addr{"the channel": channel, "the node": node, "the store itself": store} {
		if !n.reaches(from, at, "tcp") {
			t.Errorf("%s does not reach the store", who)
		}
	}
	if err := echoes(begun); err != nil {
		t.Errorf("a connection that had begun does not go on: %v", err)
	}
	n.enforce(compile(t, open))
	if !n.reaches(canary, at, "tcp") {
		t.Error("the canary does not reach the store although the policy is gone")
	}
	n.enforce(compile(t, closed))
	if n.reaches(canary, at, "tcp") {
		t.Error("the canary reaches the store although the policy is back")
	}
	n.in(n.node, func() error { return netpol.Remove(t.Context()) })
	if !n.reaches(canary, at, "tcp") {
		t.Error("the canary does not reach the store although nothing is enforced any more")
	}
}

// The kernel does with packets what the rules say, whatever the policies are: between
// pods, and from pods to the node; over both families of addresses.
func TestTheKernelDoesWhatTheRulesSay(t *testing.T) {
	state := randomState(rand.New(rand.NewPCG(0, 0)))
	var pods []netip.Addr
	for _, p := range state.Pods {
		pods = append(pods, netip.MustParseAddr(p.Status.PodIPs[0].IP))
	}
	n := newNetwork(t, pods...)
	for _, node := range []string{"10.77.0.1", "fd77::1"} {
		pods = append(pods, netip.MustParseAddr(node))
	}
	for _, a := range pods[:6] {
		pods = append(pods, n.alike(a))
	}
	for _, a := range pods {
		for port := range uint16(5) {
			n.serve(at(a, 80+port), "tcp")
			n.serve(at(a, 80+port), "udp")
		}
	}
	var came, dropped int
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 1))
		state := randomState(r)
		rules := compile(t, state)
		n.enforce(rules)
		for range 12 {
			c := randomConnection(r, state)
			c.From, c.To = n.inside(c.From), n.inside(c.To)
			if c.Protocol == corev1.ProtocolSCTP || n.where(c.From) == n.node {
				continue // the node's own packets pass, whatever a policy says
			}
			want := rules.Allows(c)
			if got := n.reaches(c.From, at(c.To, c.Port), strings.ToLower(string(c.Protocol))); got != want {
				t.Fatalf("seed %d: %+v: came through is %t, want %t, by\n%s", seed, c, got, want, rules.Ruleset())
			}
			if want {
				came++
			} else {
				dropped++
			}
		}
	}
	t.Logf("%d connections came through, %d were dropped", came, dropped)
	if min(came, dropped) < 20 {
		t.Error("too few to tell")
	}
}

// alike is the pod's address of the other family.
func (n *network) alike(a netip.Addr) netip.Addr {
	for other, pod := range n.pods {
		if other != a && pod == n.pods[a] {
			return other
		}
	}
	return a
}

// inside is who is there in place of somebody from outside: the node.
func (n *network) inside(a netip.Addr) netip.Addr {
	switch {
	case n.pods[a] != nil:
		return a
	case a.Is4():
		return netip.MustParseAddr("10.77.0.1")
	default:
		return netip.MustParseAddr("fd77::1")
	}
}

// nft and the kernel take the rules of any policies, those of protocols too that the
// tests have no packets of.
func TestNftTakesAnyRules(t *testing.T) {
	n := newNetwork(t)
	for seed := range uint64(50) {
		rules := compile(t, randomState(rand.New(rand.NewPCG(seed, 2))))
		n.in(n.node, func() error { return netpol.Check(t.Context(), rules.Ruleset()) })
	}
	n.in(n.node, func() error {
		if err := netpol.Check(t.Context(), "table inet x { chain y { no such thing } }"); err == nil || !strings.Contains(err.Error(), "syntax error") {
			t.Errorf("what is no ruleset: %v", err)
		}
		return nil
	})
}

// The ruleset, as somebody reads it who wants to know why a packet was dropped.
func TestTheRulesetReadsWell(t *testing.T) {
	state := shop
	state.Policies = []networkingv1.NetworkPolicy{policy(t, `{podSelector: {matchLabels: {app: store}}, policyTypes: [Ingress, Egress],
		ingress: [{from: [{podSelector: {}}, {ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.128/25]}}], ports: [{port: db}, {port: 8000, endPort: 8100}, {protocol: SCTP}]}]}`)}
	const want = `table inet triangle-cluster
delete table inet triangle-cluster
table inet triangle-cluster {
	chain forward {
		type filter hook forward priority filter; policy accept;
		jump policies
	}
	chain input {
		type filter hook input priority filter; policy accept;
		jump policies
	}
	chain policies {
		ct state established,related accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept
		ip saddr vmap { 10.77.0.2 : jump out-10.77.0.2 }
		ip daddr vmap { 10.77.0.2 : jump in-10.77.0.2 }
	}
	# shop/store
	chain out-10.77.0.2 {
		ip daddr { 10.77.0.2 } return
		counter drop
	}
	# shop/store
	chain in-10.77.0.2 {
		ip saddr { 10.77.0.2 } return
		ip saddr 192.0.2.0/24 ip saddr != 192.0.2.128/25 tcp dport 8000-8100 return
		ip saddr 192.0.2.0/24 ip saddr != 192.0.2.128/25 meta l4proto sctp return
		ip saddr 192.0.2.0/24 ip saddr != 192.0.2.128/25 tcp dport 2113 return
		ip saddr { 10.77.0.2, 10.77.0.3, 10.77.0.4 } tcp dport 8000-8100 return
		ip saddr { 10.77.0.2, 10.77.0.3, 10.77.0.4 } meta l4proto sctp return
		ip saddr { 10.77.0.2, 10.77.0.3, 10.77.0.4 } tcp dport 2113 return
		counter drop
	}
}
`
	if got := compile(t, state).Ruleset(); got != want {
		t.Errorf("it is\n%s", got)
	}
}
