// Package marketing is marketing support: the catalogue of propositions,
// campaigns that issue leads, and the next best actions of each visitor.
//
//	contact-events ──▶ nba ──────▶ NextBestActionsDecided   (decisions-<contact>)
//	              └──▶ response ─▶ LeadPresented,
//	                              LeadResponseRecorded       (lead-response-<lead>)
//	customer-facts ──▶ facts ────┐
//	request-status ──▶ complaint ┴─ read by nba, campaign and profile
//	own events ──────▶ proposition, arbitration, segment, campaign, lead (what the API lists)
//	RunCampaign, campaign runner ─▶ CampaignRun + LeadIssued … (campaign-run-<run>)
//	                    └─ each with a place under the caps   (places-<customer>)
//	StopCampaign, campaign runner ─▶ CampaignRunWithdrawn + LeadWithdrawn … (campaign-run-<run>)
package marketing
