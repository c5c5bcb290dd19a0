package netpol_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/triangle-suite/triangle/tools/cluster/netpol"
)

func TestWhoMayReachWhom(t *testing.T) {
	const closed = `{podSelector: {}, policyTypes: [Ingress, Egress]}`
	for name, tc := range map[string]struct {
		policies []string
		allowed  []string
		dropped  []string
	}{
		"without a policy everybody reaches everybody": {
			nil,
			[]string{"canary → store 2113/TCP", "world → store 2113/TCP", "store → world 443/TCP", "canary → node 53/UDP"},
			nil,
		},
		"a policy closes what it selects in its direction, and no other": {
			[]string{`{podSelector: {matchLabels: {app: store}}, policyTypes: [Ingress]}`},
			[]string{"store → canary 80/TCP", "store → world 443/TCP", "canary → channel 8081/TCP", "store → store 2113/TCP"},
			[]string{"canary → store 2113/TCP", "operator → store 2113/TCP", "world → store 2113/TCP"},
		},
		"a policy without types closes what goes in, and what comes out where it has rules for that": {
			[]string{
				`{podSelector: {matchLabels: {app: store}}}`,
				`{podSelector: {matchLabels: {app: canary}}, egress: [{ports: [{port: 53, protocol: UDP}]}]}`,
			},
			[]string{"store → channel 8081/TCP", "canary → node 53/UDP"},
			[]string{"channel → store 2113/TCP", "canary → channel 8081/TCP", "canary → node 53/TCP", "world → canary 80/TCP"},
		},
		"peers are of the policy's own namespace": {
			[]string{`{podSelector: {matchLabels: {app: store}}, ingress: [{from: [{podSelector: {}}]}]}`},
			[]string{"canary → store 2113/TCP", "channel → store 1/UDP"},
			[]string{"operator → store 2113/TCP", "world → store 2113/TCP"},
		},
		"unless it selects namespaces, all of whose pods are meant": {
			[]string{`{podSelector: {matchLabels: {app: store}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: back}}}]}]}`},
			[]string{"operator → store 2113/TCP"},
			[]string{"canary → store 2113/TCP", "channel → store 2113/TCP"},
		},
		"or those of them that it selects": {
			[]string{`{podSelector: {matchLabels: {app: store}}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchExpressions: [{key: app, operator: In, values: [operator, channel]}]}}]}]}`},
			[]string{"operator → store 2113/TCP", "channel → store 2113/TCP"},
			[]string{"canary → store 2113/TCP", "world → store 2113/TCP"},
		},
		"two peers are either of them, where one with two selectors is both": {
			[]string{`{podSelector: {matchLabels: {app: store}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: back}}}, {podSelector: {matchLabels: {app: canary}}}]}]}`},
			[]string{"operator → store 2113/TCP", "canary → store 2113/TCP"},
			[]string{"channel → store 2113/TCP"},
		},
		"an empty rule is open to everybody": {
			[]string{`{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]}`},
			[]string{"world → store 2113/TCP", "store → world 443/TCP", "operator → canary 7/SCTP"},
			nil,
		},
		"peers that nobody is are nobody, and not everybody": {
			[]string{`{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {matchLabels: {app: none}}}]}], egress: [{to: [{podSelector: {matchLabels: {app: none}}}], ports: [{port: http}]}]}`},
			nil,
			[]string{"canary → store 2113/TCP", "world → store 2113/TCP", "store → world 8081/TCP", "canary → channel 8081/TCP"},
		},
		"both ends have to allow": {
			[]string{
				closed,
				`{podSelector: {matchLabels: {app: canary}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}`,
				`{podSelector: {matchLabels: {app: store}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}`,
			},
			[]string{"canary → store 2113/TCP"},
			[]string{"canary → channel 8081/TCP", "channel → store 2113/TCP", "operator → store 2113/TCP"},
		},
		"policies add up": {
			[]string{
				`{podSelector: {matchLabels: {app: store}}, ingress: [{from: [{podSelector: {matchLabels: {app: channel}}}], ports: [{port: 2113}]}]}`,
				`{podSelector: {matchLabels: {tier: data}}, ingress: [{from: [{podSelector: {matchLabels: {app: canary}}}], ports: [{port: 2114}]}]}`,
			},
			[]string{"channel → store 2113/TCP", "canary → store 2114/TCP"},
			[]string{"channel → store 2114/TCP", "canary → store 2113/TCP"},
		},
		"a block of addresses, but for some, outside and of pods": {
			[]string{`{podSelector: {matchLabels: {app: store}}, ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.128/25]}}, {ipBlock: {cidr: 10.77.0.4/32}}]}]}`},
			[]string{"world → store 2113/TCP", "canary → store 2113/TCP"},
			[]string{"neighbour → store 2113/TCP", "channel → store 2113/TCP"},
		},
		"ports are of the protocol that is said, TCP when none is": {
			[]string{`{podSelector: {matchLabels: {app: store}}, ingress: [{ports: [{port: 2113}, {port: 53, protocol: UDP}, {protocol: SCTP}]}]}`},
			[]string{"canary → store 2113/TCP", "canary → store 53/UDP", "canary → store 1/SCTP", "world → store 65535/SCTP"},
			[]string{"canary → store 2113/UDP", "canary → store 53/TCP", "canary → store 2112/TCP"},
		},
		"a range of ports holds both its ends": {
			[]string{`{podSelector: {matchLabels: {app: store}}, ingress: [{ports: [{port: 8000, endPort: 8100}]}]}`},
			[]string{"canary → store 8000/TCP", "canary → store 8050/TCP", "canary → store 8100/TCP"},
			[]string{"canary → store 7999/TCP", "canary → store 8101/TCP"},
		},
		"a port's name is that of whoever is called, for its protocol": {
			[]string{
				`{podSelector: {matchLabels: {app: store}}, ingress: [{ports: [{port: db}]}]}`,
				`{podSelector: {matchLabels: {app: canary}}, policyTypes: [Egress], egress: [{ports: [{port: http}, {port: db, protocol: UDP}]}]}`,
			},
			[]string{"channel → store 2113/TCP", "canary → channel 8081/TCP", "canary → operator 9090/TCP"},
			[]string{"channel → store 2114/UDP", "canary → channel 9090/TCP", "canary → operator 8081/TCP", "canary → world 8081/TCP", "canary → store 2114/UDP"},
		},
		"a name that the called one has not got is no port of his": {
			[]string{`{podSelector: {matchLabels: {app: canary}}, ingress: [{ports: [{port: db}]}]}`},
			nil,
			[]string{"channel → canary 2113/TCP"},
		},
		"names only where they are allowed, from a process that is taken for a pod": {
			[]string{closed, `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}]}]}`},
			[]string{"canary → node 53/UDP"},
			[]string{"canary → node 6443/TCP", "canary → world 53/UDP"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			state := shop
			for _, spec := range tc.policies {
				state.Policies = append(state.Policies, policy(t, spec))
			}
			rules, err := netpol.Compile(state)
			if err != nil {
				t.Fatal(err)
			}
			for want, connections := range map[bool][]string{true: tc.allowed, false: tc.dropped} {
				for _, c := range connections {
					if got := rules.Allows(connection(t, c)); got != want {
						t.Errorf("%s: allowed is %t, want %t, by\n%s", c, got, want, rules.Ruleset())
					}
				}
			}
			if len(tc.policies) == 0 && len(rules.Pods) != 0 {
				t.Errorf("there are rules of nothing: %v", rules)
			}
		})
	}
}

// What can't be expressed allows nothing, closes what it is about, and is told with the
// policy and the rule. The rest of the policy holds.
func TestWhatCannotBeExpressedIsTold(t *testing.T) {
	const open = ` {ports: [{port: 2113}]}`
	for name, tc := range map[string]struct{ spec, want string }{
		"a protocol without ports":       {`ingress: [{ports: [{protocol: ICMP}]},` + open + `]`, "ingress[0]: the protocol ICMP has no ports"},
		"a range that begins nowhere":    {`ingress: [{ports: [{endPort: 5}]},` + open + `]`, "endPort ends a range that begins nowhere"},
		"a range from a name":            {`ingress: [{ports: [{port: http, endPort: 5}]},` + open + `]`, "can't begin at the port called http"},
		"a range that ends too early":    {`ingress: [{ports: [{port: 9, endPort: 5}]},` + open + `]`, "9 to 5 is no range"},
		"a port that is none":            {`ingress: [{ports: [{port: 70000}]},` + open + `]`, "70000 to 70000 is no range"},
		"a block that is none":           {`ingress: [{from: [{ipBlock: {cidr: 10.0.0.0}}]},` + open + `]`, `"10.0.0.0"`},
		"an exception from elsewhere":    {`ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]},` + open + `]`, "the exception 11.0.0.0/16 is not within 10.0.0.0/8"},
		"an exception that is no block":  {`ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [all]}}]},` + open + `]`, `"all"`},
		"a peer that is two":             {`ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]},` + open + `]`, "make two of it"},
		"a peer that is nobody":          {`ingress: [{from: [{}]},` + open + `]`, "a peer names nobody"},
		"a selector of no operator":      {`ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: Like}]}}]},` + open + `]`, `"Like"`},
		"namespaces by no operator":      {`ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: app, operator: Like}]}}]},` + open + `]`, `"Like"`},
		"what comes out, to no protocol": {`egress: [{ports: [{protocol: ICMP}]}], ingress: [` + open + `], policyTypes: [Ingress, Egress]`, "egress[0]: the protocol ICMP"},
		"a direction that is none":       {`ingress: [` + open + `], policyTypes: [Ingress, Sideways]`, "the policy type Sideways is none"},
	} {
		t.Run(name, func(t *testing.T) {
			state := shop
			state.Policies = []networkingv1.NetworkPolicy{policy(t, `{podSelector: {matchLabels: {app: store}}, `+tc.spec+`}`)}
			rules, err := netpol.Compile(state)
			if err == nil || !strings.Contains(err.Error(), "NetworkPolicy shop/p: ") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error is %v, want it to say %q", err, tc.want)
			}
			if rules.Allows(connection(t, "canary → store 9/TCP")) || !rules.Allows(connection(t, "canary → store 2113/TCP")) {
				t.Errorf("what is left of the policy is not its second rule:\n%s", rules.Ruleset())
			}
		})
	}
}

// Whom a policy means to close is not known: it is all of its namespace.
func TestASelectorThatCannotBeReadClosesItsNamespace(t *testing.T) {
	state := shop
	state.Policies = []networkingv1.NetworkPolicy{policy(t, `{podSelector: {matchExpressions: [{key: app, operator: Like}]}}`)}
	rules, err := netpol.Compile(state)
	if err == nil || !strings.Contains(err.Error(), `"Like"`) {
		t.Errorf("the error is %v", err)
	}
	if rules.Allows(connection(t, "operator → canary 80/TCP")) || !rules.Allows(connection(t, "canary → operator 80/TCP")) {
		t.Errorf("it closes something else:\n%s", rules.Ruleset())
	}
}

// Pods that have ended, have no address yet, or have the node's are none to a policy.
func TestPodsWithoutAnAddressOfTheirOwnAreNone(t *testing.T) {
	for name, change := range map[string]func(*corev1.Pod){
		"it is on the node's network": func(p *corev1.Pod) { p.Spec.HostNetwork = true },
		"it has succeeded":            func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded },
		"it has failed":               func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed },
		"it has no address yet":       func(p *corev1.Pod) { p.Status.PodIPs = nil },
	} {
		t.Run(name, func(t *testing.T) {
			state := shop
			state.Pods = slices.Clone(shop.Pods)
			state.Policies = []networkingv1.NetworkPolicy{policy(t, `{podSelector: {matchLabels: {app: channel}}, ingress: [{from: [{podSelector: {matchLabels: {app: canary}}}]}]}`)}
			change(&state.Pods[2])
			rules, err := netpol.Compile(state)
			if err != nil || rules.Allows(connection(t, "canary → channel 8081/TCP")) {
				t.Errorf("the canary is let in as a peer (%v)", err)
			}
			change(&state.Pods[1])
			if rules, err = netpol.Compile(state); err != nil || len(rules.Pods) != 0 {
				t.Errorf("the channel is closed: %v (%v)", rules, err)
			}
		})
	}
	state := shop
	state.Pods = []corev1.Pod{pod("shop/lost 10.0.0.x app=lost")}
	if _, err := netpol.Compile(state); err == nil || !strings.Contains(err.Error(), "pod shop/lost") {
		t.Errorf("an address that is none: %v", err)
	}
}

// An older field names the one address that a pod has.
func TestAPodsOneAddress(t *testing.T) {
	state := shop
	state.Pods = slices.Clone(shop.Pods)
	state.Pods[0].Status = corev1.PodStatus{PodIP: "10.77.0.2"}
	state.Policies = []networkingv1.NetworkPolicy{policy(t, `{podSelector: {matchLabels: {app: store}}}`)}
	if rules, err := netpol.Compile(state); err != nil || rules.Allows(connection(t, "canary → store 2113/TCP")) {
		t.Errorf("the store is open (%v)", err)
	}
}
