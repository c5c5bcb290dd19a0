// Package sales is sales support: CRM, which knows the customers and owns what
// they ask, and lead management, which carries out what campaigns offer.
//
//	contacts ──────────▶ registration ─▶ customer ─┐
//	customer-requests ─▶ request ◀─▶ back office   ├─ own events ─▶ tables ─▶ API
//	outbound-leads ────▶ lead ◀─ channel-capacity  │            ├─▶ view
//	                      ▲ └────▶ DispatchOrdered ┘            └─▶ conversion ─▶ lead
//	                      └ dispatch-results, lead-responses
//
// What the channels' capacity comes to follows from outbound and workforce, and the
// processes that requests, leads and sales go through are declared in process.
//
// Each capability is a folder under internal: what it decides, what it shows,
// what it answers. Nothing personal stands in the tables; what a call shows of a
// person is read from their stream, and gone once they are erased: CustomerErased
// tells every service to forget them (package erasure).
package sales
