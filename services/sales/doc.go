// Package sales is sales support: CRM, which knows the customers and owns what
// they ask, and lead management, which carries out what campaigns offer.
//
//	contacts ──────────▶ registration ─▶ customer ─┐
//	customer-requests ─▶ request ◀─▶ back office   ├─ own events ─▶ tables ─▶ API
//	outbound-leads ────▶ lead ◀─ channel-capacity  │            └─▶ view
//	                      ▲ └────▶ DispatchOrdered ┘
//	                      └ dispatch-results, lead-responses
//
// Each capability is a folder under internal: what it decides, what it shows,
// what it answers. Nothing personal stands in the tables; what a call shows of a
// person is read from their stream, and gone once they are erased.
package sales
