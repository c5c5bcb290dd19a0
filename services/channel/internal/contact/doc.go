// Package contact is the conversation of a visitor with a channel: it begins,
// the visitor is identified, takes several steps, and it ends. On the way it may be
// handed over to another channel, and where nothing happens in it for long it ends
// by itself. Whatever happens in it stands in one stream, contact-<id>.
//
//	           ┌── HandOver: in another channel ──┐
//	           ▼                                  │
//	Start ─▶ open ── claims, events, requests, lead responses ──▶ End, TimeOut ─▶ ended
//	           ▲                                                                   │
//	           └── VisitorIdentified, and what came of a request, ─────────────────┘
//	               also when the visitor has left meanwhile
package contact
