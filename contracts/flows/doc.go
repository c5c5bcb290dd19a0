// Package flows is the catalogue of the triangle's information flows, and the
// words that go with it: services, cadences, keys.
//
// A flow is a directed arrow of the triangle. The producer appends its events at
// once, whatever the flow's cadence; the cadence belongs to the consumer, which
// opens its gate once a week, once a day, once an hour, or never closes it.
//
// The diagram in the README is generated from Catalogue.
package flows
