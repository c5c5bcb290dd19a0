// Package marketing is marketing support: the catalogue of propositions,
// campaigns that issue leads, and the next best actions of each visitor.
//
//	contact-events ──▶ nba ──────▶ NextBestActionsDecided   (decisions-<contact>)
//	              └──▶ response ─▶ LeadResponseRecorded     (lead-response-<lead>)
//	customer-facts ──▶ facts ────┐
//	request-status ──▶ complaint ┴─ read by nba, campaign and profile
//	own events ──────▶ proposition, arbitration, segment, campaign (what the API lists)
//	RunCampaign ─────▶ CampaignRun + LeadIssued …           (campaign-run-<run>)
package marketing
