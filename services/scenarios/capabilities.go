package scenarios

import "slices"

// Capability is something that a user can ask for, and a text can show.
type Capability struct {
	ID   string
	What string
	// Tests are those that show it where it is one of the sources, and not of a suite
	// that runs: it has no text. They are part of make test.
	Tests []string
}

// Capabilities are those that texts show, or tests.
var Capabilities = []Capability{
	{ID: "CH-1", What: "Five channels, manned or unmanned, each given what it needs: a script to say, or content to render"},
	{ID: "CH-2", What: "A contact holds many steps; the channel directs them; the outcome is recorded"},
	{ID: "CH-3", What: "A request is completed with the back office within the contact, or else CRM takes over"},
	{ID: "CH-4", What: "Further kinds of events, without a change to the flow"},
	{ID: "CH-5", What: "Two ways of handling a contact are compared"},
	{ID: "CH-6", What: "Any channel receives a response to a lead that another channel sent"},
	{ID: "CH-7", What: "The delivery address is looked up when sending"},
	{ID: "CH-8", What: "Workload and capacity are published per channel"},
	{ID: "SA-1", What: "Requests are owned, the back office is driven, the status is kept and asked for later"},
	{ID: "SA-2", What: "The status of all steps of all commercial processes, with times per step"},
	{ID: "SA-3", What: "A sale or a finished request updates the operational customer view"},
	{ID: "LM-1", What: "A converted lead is taken over from marketing and followed to a transaction"},
	{ID: "LM-2", What: "Outbound leads are carried out within capacity; what does not fit is deferred, never lost"},
	{ID: "LM-3", What: "Responses to outbound offers are handled"},
	{ID: "MA-1", What: "A catalogue of propositions and content; which one a visitor gets is decided during the contact"},
	{ID: "MA-2", What: "Next best actions pass four gates, are ranked, explain themselves, and can be replayed bit for bit"},
	{ID: "MA-3", What: "A contact event changes the very next list"},
	{ID: "MA-4", What: "Dynamic segments from events"},
	{ID: "MA-5", What: "An open complaint suppresses what is to be sold"},
	{ID: "MA-6", What: "Campaigns issue outbound leads"},
	{ID: "XF-1", What: "Every flow runs weekly, daily, hourly or in real time, different flows at different cadences"},
	{ID: "XF-2", What: "A flow is migrated while everything runs: tried out by a shadow, cut over, audited, and rolled back; nothing lost, nothing twice"},
	{
		ID: "XF-4", What: "Integration guidelines are checked on the contracts: naming, owner, key, rationale, compatibility",
		Tests: []string{"contracts/flows/catalogue_test.go", "services/internal/codec/golden_test.go"},
	},
}

// place is where a capability stands in the list; -1 where it does not.
func place(id string) int {
	return slices.IndexFunc(Capabilities, func(c Capability) bool { return c.ID == id })
}

// Unshown returns the capabilities that nothing shows.
func Unshown(texts []Text) (ids []string) {
	for _, c := range Capabilities {
		shown := slices.ContainsFunc(texts, func(t Text) bool { return slices.Contains(t.IDs, c.ID) })
		if !shown && len(c.Tests) == 0 {
			ids = append(ids, c.ID)
		}
	}
	return ids
}
