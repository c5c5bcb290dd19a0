// Package scenario plays the triangle's story against a running suite, through
// the services' own APIs, and checks each step: a visitor becomes a customer, is
// offered something, asks and complains, buys, is called, and answers.
//
// A play has to survive that any process of the suite is killed in the middle.
// So it never waits for a moment, always for a condition; and whatever it asks
// for bears an idempotency key that derives from the run, the step and the call,
// never from chance. Two plays that are the first on their data make the same
// ids.
//
// Each run has a visitor and a complainer of its own, so that it can be played
// again on the data of the runs before.
package scenario
