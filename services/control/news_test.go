package control

import "testing"

func TestAStreamsNameSaysOfWhichFlowItIs(t *testing.T) {
	for stream, want := range map[string]News{
		"flow-request-status":      {Flow: "request-status"},
		"flow-request-status:12":   {Flow: "request-status"},
		"shadow-contacts:5c7e2a36": {Flow: "contacts"},
		"progress-contact-events":  {Flow: "contact-events", Frequent: true},
		"freshness-contacts":       {Flow: "contacts", Frequent: true},
	} {
		if got := newsOf(stream); got != want {
			t.Errorf("%s: %+v, want %+v", stream, got, want)
		}
	}
}
