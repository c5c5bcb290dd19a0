package process

import journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"

// The statuses of a request, in short.
const (
	open       = journeyv1.RequestStatus_REQUEST_STATUS_OPEN
	inProgress = journeyv1.RequestStatus_REQUEST_STATUS_IN_PROGRESS
	done       = journeyv1.RequestStatus_REQUEST_STATUS_DONE
)

// A quote: the back office prices what the channel can't price within the contact.
var quote = Process{"quote", []Step{
	{Name: "asked", MovedBy: []Mover{Channel}, Status: open},
	{Name: "taken-over", MovedBy: []Mover{Channel}, Status: inProgress},
	{Name: "being-priced", MovedBy: []Mover{BackOffice}, Status: inProgress},
	{Name: "quoted", MovedBy: []Mover{Channel, BackOffice, Employee}, Status: done, Ends: true},
}}

// A service: the back office does what the channel can't do within the contact.
var service = Process{"service", []Step{
	{Name: "asked", MovedBy: []Mover{Channel}, Status: open},
	{Name: "taken-over", MovedBy: []Mover{Channel}, Status: inProgress},
	{Name: "being-done", MovedBy: []Mover{BackOffice}, Status: inProgress},
	{Name: "served", MovedBy: []Mover{Channel, BackOffice, Employee}, Status: done, Ends: true},
}}

// A complaint: the back office looks into what the channel can't settle.
var complaint = Process{"complaint", []Step{
	{Name: "lodged", MovedBy: []Mover{Channel}, Status: open},
	{Name: "taken-over", MovedBy: []Mover{Channel}, Status: inProgress},
	{Name: "looked-into", MovedBy: []Mover{BackOffice}, Status: inProgress},
	{Name: "settled", MovedBy: []Mover{Channel, BackOffice, Employee}, Status: done, Ends: true},
}}

// The steps of a lead.
const (
	leadIssued     = "issued"
	leadAccepted   = "accepted"
	leadExpired    = "expired"
	leadWithdrawn  = "withdrawn"
	leadDispatched = "dispatched"
	leadSent       = "sent"
	leadFailed     = "failed"
	leadClosed     = "closed"
	leadConverted  = "converted"
)

// A lead: from the campaign that issued it to the customer's answer.
var lead = Process{"lead", []Step{
	{Name: leadIssued, MovedBy: []Mover{Marketing}},
	{Name: leadAccepted, MovedBy: []Mover{LeadManagement}},
	{Name: leadExpired, MovedBy: []Mover{LeadManagement}, Ends: true},
	{Name: leadWithdrawn, MovedBy: []Mover{Marketing}, Ends: true},
	{Name: leadDispatched, MovedBy: []Mover{LeadManagement}},
	{Name: leadSent, MovedBy: []Mover{Channel}},
	{Name: leadFailed, MovedBy: []Mover{Channel}, Ends: true},
	{Name: leadClosed, MovedBy: []Mover{Customer}, Ends: true},
	{Name: leadConverted, MovedBy: []Mover{Customer}, Ends: true},
}}

// The steps of a sale.
const (
	saleAgreed = "agreed"
	saleClosed = "closed"
)

// A sale: from the customer's word to the transaction. One that no lead led to is
// known from its transaction on.
var sale = Process{"sale", []Step{
	{Name: saleAgreed, MovedBy: []Mover{Customer}},
	{Name: saleClosed, MovedBy: []Mover{CRM}, Ends: true},
}}
