// Package channel is channel support: it steers the contacts of visitors with
// the company over the website, e-mail, the call centre, branches and print.
//
//	contact       a conversation: its steps, its requests, its end
//	customerview  what CRM tells of customers
//	nba           the next best actions that marketing decides
//	outbound      messages that lead management orders
//	capacity      how much a channel can carry
//	eventkind     what commercial events look like
//	experiment    ways in which a contact looks, compared
//	idle          what nobody touches for its time-out
//
// Each is a folder in internal. New puts them together.
package channel
