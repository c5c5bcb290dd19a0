// Package lead keeps how many leads a customer gets, whatever the campaign, and
// which lead has which place.
//
// A place is decided on in the customer's stream, so that the caps hold exactly,
// whoever decides at the same time:
//
//	claim ──▶ held ──▶ taken ──▶ the lead is issued
//	  │         └──▶ displaced, by a claim of higher priority that comes before it is taken
//	  └──▶ refused: what fills a cap is taken, or held by no lower priority
//
// What came of a claim stays so. Whoever carries the same run out, or does it again
// after a crash, comes to the same.
package lead
