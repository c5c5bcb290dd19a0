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
// A lead that is withdrawn, as its campaign was stopped, keeps its place. Whether it
// was dispatched by then is for lead management to say, and no flow tells marketing:
// to give the place back would let a customer have more leads than a cap allows.
//
// What came of a claim stays so. Whoever carries the same run out, or does it again
// after a crash, comes to the same.
package lead
