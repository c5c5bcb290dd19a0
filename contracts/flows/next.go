//go:build triangle_next

package flows

import "slices"

// A newer build carries one more type over customer-facts.
func init() {
	i := slices.IndexFunc(Catalogue, func(f Flow) bool { return f.Name == "customer-facts" })
	Catalogue[i].Types = append(Catalogue[i].Types, "sales.BonusGranted")
	Gated = append(Gated, "sales.v2.BonusGranted")
}
