// Package contact is the conversation of a visitor with a channel: it begins,
// the visitor is identified, takes several steps, and it ends. Whatever happens
// in it stands in one stream, contact-<id>.
//
//	Start ─▶ open ── claims, events, requests, lead responses ──▶ End ─▶ ended
//	           ▲                                                          │
//	           └── VisitorIdentified, and what came of a request, ────────┘
//	               also when the visitor has left meanwhile
package contact
