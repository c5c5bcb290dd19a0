// Package ids derives the ids of sales: the same thing has the same id, whoever
// names it first and however often.
package ids

import (
	"github.com/google/uuid"
)

// namespace is that of the ids of sales. It never changes: ids derive from it
// for ever.
var namespace = uuid.MustParse("5f1d1c58-95a6-5c0e-9d0a-3a8a5b0f4c27")

// Customer is the id of the customer who is recognised first by the identity
// that has this stream: its name holds a keyed hash, and no personal value.
func Customer(identityStream string) string { return derive("customer", identityStream) }

// Order is the id of a customer's order. Order numbers are unique for the
// customer only.
func Order(customerNumber, orderNumber string) string {
	return derive("order", customerNumber+"|"+orderNumber)
}

// Message is the id of the message that carries out a lead: a lead is sent once.
func Message(leadID string) string { return derive("message", leadID) }

func derive(kind, name string) string {
	return uuid.NewSHA1(namespace, []byte(kind+"|"+name)).String()
}
