package netpol

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// Table is the table of family inet that the rules are in, and nothing else.
const Table = "triangle-cluster"

// Apply puts a ruleset in place of the one before, all at once: no packet meets half of
// it. It takes nft and the right to administrate the network.
func Apply(ctx context.Context, ruleset string) error { return nft(ctx, ruleset, "-f", "-") }

// Check has nft read a ruleset, and the kernel say whether it would take it. Nothing
// changes.
func Check(ctx context.Context, ruleset string) error { return nft(ctx, ruleset, "--check", "-f", "-") }

// Remove takes the rules away: every pod is open then.
func Remove(ctx context.Context) error {
	return nft(ctx, "table inet "+Table+"\ndelete table inet "+Table+"\n", "-f", "-")
}

func nft(ctx context.Context, stdin string, args ...string) error {
	cmd := exec.CommandContext(ctx, "nft", args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// Ruleset writes the rules as nft reads them: a table that takes the place of the one
// before. What a pod may not is dropped and counted, and not refused: somebody who asks
// again a moment later, as TCP does, is let in once his address is known.
func (r Rules) Ruleset() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %[1]s\ndelete table inet %[1]s\ntable inet %[1]s {\n", Table)
	for _, hook := range []string{"forward", "input"} {
		fmt.Fprintf(&b, "\tchain %[1]s {\n\t\ttype filter hook %[1]s priority filter; policy accept;\n\t\tjump policies\n\t}\n", hook)
	}
	b.WriteString("\tchain policies {\n\t\tct state established,related accept\n")
	b.WriteString("\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept\n")
	r.dispatch(&b, "saddr", "out", func(p Pod) bool { return p.Egress.Isolated })
	r.dispatch(&b, "daddr", "in", func(p Pod) bool { return p.Ingress.Isolated })
	b.WriteString("\t}\n")
	for _, p := range r.Pods {
		p.Egress.chain(&b, "out", "daddr", p)
		p.Ingress.chain(&b, "in", "saddr", p)
	}
	b.WriteString("}\n")
	return b.String()
}

// dispatch has each packet judged by the rules of the pod that has its address.
func (r Rules) dispatch(b *strings.Builder, field, prefix string, isolated func(Pod) bool) {
	jumps := map[string][]string{}
	for _, p := range r.Pods {
		if isolated(p) {
			for _, a := range p.Addresses {
				jumps[family(a)] = append(jumps[family(a)], fmt.Sprintf("%s : jump %s", a, chainOf(prefix, p)))
			}
		}
	}
	for _, family := range []string{"ip", "ip6"} {
		if of := jumps[family]; len(of) > 0 {
			fmt.Fprintf(b, "\t\t%s %s vmap { %s }\n", family, field, strings.Join(of, ", "))
		}
	}
}

// chain writes what a pod's direction is open to. Who returns from it is allowed.
func (d Direction) chain(b *strings.Builder, prefix, field string, p Pod) {
	if !d.Isolated {
		return
	}
	fmt.Fprintf(b, "\t# %s\n\tchain %s {\n", p.Name, chainOf(prefix, p))
	var own []Block
	for _, a := range p.Addresses {
		own = append(own, one(a))
	}
	for _, a := range slices.Concat([]Allowance{{Peers: own}}, d.Allowed) {
		for _, peers := range matches(a.Peers, field) {
			for _, port := range portMatches(a.Ports) {
				fmt.Fprintf(b, "\t\t%s\n", strings.Join(slices.DeleteFunc([]string{peers, port, "return"}, func(s string) bool { return s == "" }), " "))
			}
		}
	}
	b.WriteString("\t\tcounter drop\n\t}\n")
}

func chainOf(prefix string, p Pod) string {
	return prefix + "-" + strings.ReplaceAll(p.Addresses[0].String(), ":", "_")
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "ip"
	}
	return "ip6"
}

// matches are what a packet's other end is matched by, one for all single addresses of
// a family.
func matches(blocks []Block, field string) (all []string) {
	if len(blocks) == 0 {
		return []string{""}
	}
	single := map[string][]string{}
	for _, b := range blocks {
		f := family(b.Prefix.Addr())
		if b.Prefix.IsSingleIP() && len(b.Except) == 0 {
			if a := b.Prefix.Addr().String(); !slices.Contains(single[f], a) {
				single[f] = append(single[f], a)
			}
			continue
		}
		match := f + " " + field + " " + b.Prefix.String()
		for _, except := range b.Except {
			match += " " + f + " " + field + " != " + except.String()
		}
		all = append(all, match)
	}
	for _, f := range []string{"ip", "ip6"} {
		if of := single[f]; len(of) > 0 {
			all = append(all, fmt.Sprintf("%s %s { %s }", f, field, strings.Join(of, ", ")))
		}
	}
	return all
}

func portMatches(ports []Port) (all []string) {
	if len(ports) == 0 {
		return []string{""}
	}
	for _, p := range ports {
		protocol := strings.ToLower(string(p.Protocol))
		match := protocol + " dport " + strconv.Itoa(int(p.First))
		switch {
		case p.all():
			match = "meta l4proto " + protocol
		case p.First != p.Last:
			match += "-" + strconv.Itoa(int(p.Last))
		}
		all = append(all, match)
	}
	return all
}
