// Package imports brings files of persons and of orders into CRM.
//
//	file ─▶ rows ─▶ tasks ─▶ 16 lanes ─▶ RegisterCustomer, PlaceOrder
//	          │                 │
//	          ├▶ kept           └▶ refused by CRM ─┐
//	          └▶ can't be used ────────────────────┴▶ rejects
//
// Each row is a call with an idempotency key that derives from what the row is
// about (customer number, order number), never from where it stands in the file:
// running an import again adds nothing, and an import that was cut off is
// finished by running it again.
//
// Customer numbers say where they come from: person rec-223-org of Febrl is
// febrl-223, and buyer 0042 of CDNOW's sample is cdnow-0042, so that the two
// never meet by accident. Febrl's duplicates (rec-223-dup-0) are not imported:
// they are kept in a file of their own, for the matching of records.
package imports
