//go:build triangle_next

package facts

import (
	"google.golang.org/protobuf/proto"

	salesv2 "github.com/triangle-suite/triangle/contracts/sales/v2"
)

// A newer build adds bonuses to what customers are worth.
func init() {
	changeNext = func(event proto.Message) (string, []any) {
		if m, ok := event.(*salesv2.BonusGranted); ok {
			return `UPDATE facts_customer SET spent_cents = spent_cents + ? WHERE customer_id = ?`, []any{m.GetAmountCents(), m.GetCustomerId()}
		}
		return "", nil
	}
}
