package e2e

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

// An open complaint suppresses sales propositions as soon as marketing knows of
// it. While request-status is daily it does not know, and the answer says so.
func TestAnOpenComplaintSuppressesSalesOnceMarketingKnows(t *testing.T) {
	tests := map[string][]string{
		"after the next window":               {"flow", "run", "request-status"},
		"after the flow is set to real time":  {"flow", "set", "request-status", "--cadence", "realtime"},
		"after the flow is set to a new cron": {"flow", "set", "request-status", "--cadence", "CRON_TZ=Europe/Amsterdam 0 3 * * *"},
	}
	for name, command := range tests {
		t.Run(name, func(t *testing.T) {
			s := up(t)
			s.offerPropositions()
			s.call(http.StatusOK, http.MethodPost, "sales", "/v1/customers", body{"customer_number": "c-1", "source": "test"})
			s.complain("c-1")

			website := s.startContact("CHANNEL_WEBSITE", "c-1")
			list, status := s.look(website)
			if !slices.Contains(list, "box-set") {
				t.Errorf("with request-status daily the list is %v, want box-set in it", list)
			}
			if status.cadence != "daily" || status.staleness <= 0 {
				t.Errorf("the answer says that request-status is %v, want daily and stale", status)
			}

			t.Log(s.triangle(command...))
			s.await("suppressed sales", func() bool {
				list, _ = s.look(website)
				return !slices.Contains(list, "box-set")
			})
			if !slices.Contains(list, "advice") {
				t.Errorf("the list is %v, want advice still in it", list)
			}
		})
	}
}

func (s *suite) offerPropositions() {
	contents := []body{{"channel": "CHANNEL_WEBSITE", "text": "See what we have."}, {"channel": "CHANNEL_CALL_CENTRE", "text": "May I tell you?"}}
	s.call(http.StatusOK, http.MethodPut, "marketing", "/v1/propositions/box-set", body{
		"name": "Box set", "purpose": "PURPOSE_SALES", "topic": "jazz", "value_cents": 9900, "lever": 1, "base_propensity": 0.2, "contents": contents,
	})
	s.call(http.StatusOK, http.MethodPut, "marketing", "/v1/propositions/advice", body{
		"name": "Advice", "purpose": "PURPOSE_SERVICE", "topic": "help", "value_cents": 1000, "lever": 1, "base_propensity": 0.5, "contents": contents,
	})
	s.await("propositions that can be offered", func() bool {
		all, _ := s.call(http.StatusOK, http.MethodGet, "marketing", "/v1/propositions", nil).get("propositions").([]any)
		return len(all) == 2
	})
}

// startContact starts a contact, and returns its id once the customer is known.
func (s *suite) startContact(channel, number string) (contact string) {
	s.t.Helper()
	contact = s.call(http.StatusOK, http.MethodPost, "channel", "/v1/contacts", body{
		"channel": channel, "visitor_id": "v-" + number, "claims": body{"customer_number": number}, "wait": "5s",
	}).text("contact", "contactId")
	s.await("an identified contact", func() bool {
		return s.call(http.StatusOK, http.MethodGet, "channel", "/v1/contacts/"+contact, nil).text("contact", "customerId") != ""
	})
	return contact
}

func (s *suite) complain(number string) {
	s.t.Helper()
	phone := s.startContact("CHANNEL_CALL_CENTRE", number)
	request := s.call(http.StatusOK, http.MethodPost, "channel", "/v1/contacts/"+phone+"/requests", body{
		"kind": "REQUEST_KIND_COMPLAINT", "text": "It skips.",
	}).text("requestId")
	s.await("a request that CRM owns", func() bool {
		r, err := http.Get(s.at["sales"] + "/v1/requests/" + request)
		if err != nil {
			s.t.Fatal(err)
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
}

// freshness is how old an answer says that a flow is.
type freshness struct {
	cadence   string
	staleness time.Duration
}

// look shows interest, and returns the list that comes of it, and how fresh
// request-status was when it was decided.
func (s *suite) look(contact string) (list []string, status freshness) {
	s.t.Helper()
	answer := s.call(http.StatusOK, http.MethodPost, "channel", "/v1/contacts/"+contact+"/events", body{
		"interest": body{"kind": "landing-page", "topic": "jazz"}, "wait": "5s",
	})
	if source := answer.text("nextBestActions", "source"); source != "LIST_SOURCE_DECIDED" {
		s.t.Fatalf("the list is %s (%s), want one that was decided for the call", source, answer.text("nextBestActions", "reason"))
	}
	actions, _ := answer.get("nextBestActions", "actions").([]any)
	for _, a := range actions {
		list = append(list, body(a.(map[string]any)).text("propositionId"))
	}
	flows, _ := answer.get("nextBestActions", "restedOn").([]any)
	for _, f := range flows {
		if one := body(f.(map[string]any)); one.text("flow") == "request-status" {
			status.cadence = one.text("cadence")
			status.staleness, _ = time.ParseDuration(one.text("staleness"))
		}
	}
	return list, status
}

// The same call sent twice with one idempotency key has one effect and one
// answer; with another content it is refused.
func TestACallThatIsRepeatedHasOneEffect(t *testing.T) {
	s := up(t)
	request := body{"channel": "CHANNEL_WEBSITE", "visitor_id": "v"}
	first := s.callAs("once", http.StatusOK, http.MethodPost, "channel", "/v1/contacts", request)
	again := s.callAs("once", http.StatusOK, http.MethodPost, "channel", "/v1/contacts", request)
	if a, b := first.text("contact", "contactId"), again.text("contact", "contactId"); a != b || a == "" {
		t.Errorf("the call made contact %q, and repeated %q", a, b)
	}
	other := s.callAs("once", http.StatusConflict, http.MethodPost, "channel", "/v1/contacts", body{"channel": "CHANNEL_BRANCH", "visitor_id": "v"})
	if other.text("reason") != "IDEMPOTENCY_KEY_REUSED" {
		t.Errorf("the key with another request was refused with %q", other.text("reason"))
	}
}
