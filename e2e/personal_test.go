package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A visitor leaves traces in each service; a mail server, callers and somebody at the
// store do what they should not. Of the visitor nothing is in any log, at debug, in any
// metric, nor in what is handed over to a collector.
func TestTelemetryHoldsNothingPersonal(t *testing.T) {
	collector, mail := collect(t), startRudeMailServer(t)
	t.Setenv("TRIANGLE_LOG_LEVEL", "debug")
	s := up(t, "--smtp", mail.addr)
	s.prefix = "personal-"
	var c canaries
	v := s.plantVisitor(&c)
	s.playVisitor(v)
	s.playBadCalls(&c)
	s.parkPersonalEvents(&c)
	s.await("an address that the mail server has refused", func() bool { return mail.hasRefused(v.email) })
	s.await("parked events", func() bool {
		return strings.Contains(s.scrapeText("marketing"), `triangle_flow_parked_events{flow="contact-events"} 2.0`)
	})
	s.await("traces, metrics and logs at the collector", func() bool {
		told := collector.all()
		return strings.Contains(told["trace.v1.TraceService/Export"], "StartContact") &&
			strings.Contains(told["metrics.v1.MetricsService/Export"], "triangle_flow_parked_events") &&
			strings.Contains(told["logs.v1.LogsService/Export"], "call failed")
	})
	// What comes late comes with the next rounds of everything.
	s.await("a mail that lead management knows to have failed", func() bool {
		return strings.Contains(fmt.Sprint(s.call(http.StatusOK, http.MethodGet, "channel", "/v1/messages", nil)), "REFUSED")
	})

	for name, text := range s.readLogs() {
		c.wantNone(t, "log "+name, text)
		if strings.HasPrefix(name, "channel") && !strings.Contains(string(text), `"level":"DEBUG"`) {
			t.Errorf("log %s is not at debug: it would show nothing", name)
		}
	}
	for _, service := range services {
		c.wantNone(t, "/metrics of "+service, []byte(s.scrapeText(service)))
	}
	c.wantNone(t, "/metrics of the event store", []byte(s.scrapeURL("http://"+s.eventStore+"/metrics")))
	for signal, told := range collector.all() {
		c.wantNone(t, signal, []byte(told))
	}
}

// visitor is who must not be found again.
type visitor struct {
	email, phone, given, surname, free, data string
	person                                   body
}

func (s *suite) plantVisitor(c *canaries) visitor {
	v := visitor{
		email: c.plant("quetzal.mail@canary.example"), phone: "+31612349876",
		given: c.plant("Quetzalgivenname"), surname: c.plant("Quetzalsurname"),
		free: c.plant("Quetzal writes that his neighbour is ill"), data: c.plant("quetzal-free-claim"),
	}
	c.plant(strings.TrimPrefix(v.phone, "+"))
	v.person = body{
		"given_name": v.given, "surname": v.surname, "date_of_birth": c.plant("1931-12-29"), "email": v.email, "phone": v.phone,
		"social_security_id": c.plant("quetzal-bsn-987654321"),
		"address": body{
			"street_number": c.plant("quetzal-number-99b"), "street": c.plant("Quetzalstraat"), "extra": c.plant("Quetzal House"),
			"suburb": c.plant("Quetzaldorp"), "postcode": c.plant("QZ-9876-QX"), "state": c.plant("Quetzalland"),
		},
	}
	return v
}

// playVisitor takes the visitor through all services, and has a mail sent.
func (s *suite) playVisitor(v visitor) {
	s.t.Helper()
	for _, flow := range []string{"request-status", "customer-facts", "outbound-leads", "lead-dispatch", "channel-capacity"} {
		s.triangle("flow", "set", flow, "--cadence", "realtime")
	}
	s.call(http.StatusOK, http.MethodPut, "marketing", "/v1/propositions/box-set", body{
		"name": "Box set", "purpose": "PURPOSE_SALES", "topic": "jazz", "value_cents": 9900, "lever": 1, "base_propensity": 0.2,
		"contents": []body{{"channel": "CHANNEL_WEBSITE", "text": "See what we have."}, {"channel": "CHANNEL_EMAIL", "text": "See what we have."}},
	})
	customer := s.callAs("register "+v.email, http.StatusOK, http.MethodPost, "sales", "/v1/customers", body{
		"customer_number": "q-1", "person": v.person, "source": "test",
	}).text("customerId")
	v.person["given_name"] = v.given + "-two"
	s.callAs("change "+v.surname, http.StatusOK, http.MethodPut, "sales", "/v1/customers/"+customer+"/person", v.person)
	s.call(http.StatusOK, http.MethodPut, "sales", "/v1/customers/"+customer+"/consent", body{"consent": "CONSENT_GRANTED"})
	contact := s.callAs(v.email, http.StatusOK, http.MethodPost, "channel", "/v1/contacts", body{
		"channel": "CHANNEL_WEBSITE", "visitor_id": "v-q",
		"claims": body{"email": v.email, "phone": v.phone, "given_name": v.given, "surname": v.surname}, "wait": "5s",
	}).text("contact", "contactId")
	s.call(http.StatusOK, http.MethodPut, "channel", "/v1/event-kinds/quetzal", body{"type": "object", "additionalProperties": false, "properties": body{"said": body{"type": "string"}}})
	s.await("a kind that is known", func() bool {
		return strings.Contains(fmt.Sprint(s.call(http.StatusOK, http.MethodGet, "channel", "/v1/event-kinds", nil)), "quetzal")
	})
	s.call(http.StatusOK, http.MethodPost, "channel", "/v1/contacts/"+contact+"/events", body{"other": body{"kind": "quetzal", "data": body{"said": v.data}}})
	s.call(http.StatusOK, http.MethodPost, "channel", "/v1/contacts/"+contact+"/requests", body{"kind": "REQUEST_KIND_SERVICE", "text": v.free})
	s.mailTo(customer)
}

// mailTo has a campaign send a mail to a customer.
func (s *suite) mailTo(customer string) {
	s.t.Helper()
	s.call(http.StatusOK, http.MethodPost, "sales", "/v1/orders", body{
		"customer_number": "q-1", "order_number": "o-1", "ordered_on": "2026-01-02", "quantity": 1, "amount_cents": 9900, "source": "test",
	})
	s.call(http.StatusOK, http.MethodPost, "channel", "/v1/grants", body{"channel": "CHANNEL_EMAIL", "starts_at": time.Now().UTC().Truncate(time.Hour).Format(time.RFC3339), "capacity": 10})
	s.call(http.StatusOK, http.MethodPut, "marketing", "/v1/campaigns/mail", body{
		"name": "Mail", "proposition_id": "box-set", "channel": "CHANNEL_EMAIL", "min_orders": 1, "max_leads": 5, "priority": 1,
	})
	s.await("a campaign that finds the customer", func() bool {
		leads, _ := s.call(http.StatusOK, http.MethodPost, "marketing", "/v1/campaigns/mail/runs", body{}).get("leadIds").([]any)
		return len(leads) > 0
	})
}

// playBadCalls makes calls that are refused, with what is personal in every place that
// a caller can fill in.
func (s *suite) playBadCalls(c *canaries) {
	s.t.Helper()
	person := func(n int) string { return c.plant(fmt.Sprintf("quetzal-bad-%02d@canary.example", n)) }
	for i, bad := range []struct{ method, service, path, text string }{
		{http.MethodPost, "channel", "/v1/contacts", `{"channel": "%s"}`},
		{http.MethodPost, "channel", "/v1/contacts", `{"%s": 1}`},
		{http.MethodPost, "channel", "/v1/contacts", `{"claims": {"email": {"%s": 1}}}`},
		{http.MethodPost, "channel", "/v1/contacts", `{"claims": "%s"}`},
		{http.MethodPost, "channel", "/v1/contacts", `{"channel": "CHANNEL_WEBSITE", "claims": {"email": "not %s at all"}}`},
		{http.MethodPost, "channel", "/v1/contacts", `%s`},
		{http.MethodGet, "channel", "/v1/contacts/%s", ``},
		{http.MethodGet, "channel", "/v1/%s", ``},
		{http.MethodGet, "sales", "/v1/customers/by-number/%s", ``},
		{http.MethodGet, "sales", "/v1/customers/%s?email=%s", ``},
		{http.MethodPost, "sales", "/v1/customers", `{"person": {"date_of_birth": "%s"}}`},
		{http.MethodPost, "sales", "/v1/orders", `{"customer_number": "%s", "order_number": "o", "ordered_on": "%s"}`},
		{http.MethodPut, "sales", "/v1/customers/%s/person", `{"email": "%s"}`},
		{http.MethodGet, "marketing", "/v1/customers/%s/profile", ``},
		{http.MethodPut, "marketing", "/v1/segments/%s", `{"name": "%s", "rules": "%s"}`},
		{"QUETZAL", "marketing", "/v1/%s", ``},
		{http.MethodPut, "channel", "/loglevel", `%s`},
	} {
		value := person(i)
		path := strings.ReplaceAll(bad.path, "%s", url.PathEscape(value))
		s.badCall(bad.method, bad.service, path, strings.ReplaceAll(bad.text, "%s", value), person(50+i))
	}
}

// badCall makes a call that can't be answered as it should be. What it is answered is
// its caller's own.
func (s *suite) badCall(method, service, path, text, key string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.at[service]+path, strings.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Idempotency-Key", key)
	r.Header.Set("Traceparent", "00-"+key)
	r.Header.Set("Baggage", "user="+url.QueryEscape(key))
	r.Header.Set("User-Agent", key)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode < 400 || answer.StatusCode >= 500 {
		s.t.Errorf("%s %s is answered %d", method, path, answer.StatusCode)
	}
}

// parkPersonalEvents appends events that no flow can take in, and that hold what is
// personal where none should be.
func (s *suite) parkPersonalEvents(c *canaries) {
	s.t.Helper()
	for i, data := range []string{
		`{"contactId": "c-%[1]d", "channel": "%[2]s"}`,
		`{"contactId": "c-%[1]d", "customerId": {"%[2]s": 1}}`,
		`{"contactId": "c-%[1]d", %[2]s`,
	} {
		s.appendByHand(fmt.Sprintf("contact-by-hand-%d", i), "channel.ContactStarted", fmt.Sprintf(data, i, c.plant(fmt.Sprintf("quetzal-parked-%02d@canary.example", i))))
	}
}

// scrapeText returns a service's metrics as Prometheus asks for them.
func (s *suite) scrapeText(service string) string {
	s.t.Helper()
	return s.scrapeURL(s.at[service] + "/metrics")
}
