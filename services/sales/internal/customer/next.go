//go:build triangle_next

package customer

import (
	"google.golang.org/protobuf/proto"

	salesv2 "github.com/triangle-suite/triangle/contracts/sales/v2"
	"github.com/triangle-suite/triangle/services/internal/codec"
)

// bonusCents is what an order earns.
const bonusCents = 1

// A newer build grants a bonus with each order, once the event of it is active.
func init() {
	besides = func(c *codec.Codec, order PlaceOrder) func(State) ([]proto.Message, error) {
		return func(s State) ([]proto.Message, error) {
			events, err := order.Decide(s)
			bonus := &salesv2.BonusGranted{CustomerId: order.Order.GetCustomerId(), OrderId: order.Order.GetOrderId(), AmountCents: bonusCents}
			if len(events) > 0 && c.Active(bonus) {
				events = append(events, bonus)
			}
			return events, err
		}
	}
}
