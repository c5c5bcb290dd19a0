package e2e

import (
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A store that does not answer makes readiness false and calls fail within their
// deadline. When it is back everything goes on by itself, and the call that
// failed, sent again with its key, has one effect.
func TestAStoreThatIsAwayFailsCallsInTimeAndLosesNothing(t *testing.T) {
	s := up(t)
	s.offerPropositions()
	s.probeTells("sales", "contacts")
	s.call(http.StatusOK, http.MethodPost, "sales", "/v1/customers", body{"customer_number": "c-1", "source": "test"})
	contact := s.startContact("CHANNEL_WEBSITE", "c-1")

	signalProcess(t, s.data, "event-store", syscall.SIGSTOP)
	for _, service := range services {
		s.await(service+" that is not ready", func() bool { return s.ready(service) == http.StatusServiceUnavailable })
	}
	status := s.tryInterest(contact)
	if !slices.Contains([]int{http.StatusServiceUnavailable, http.StatusGatewayTimeout}, status) {
		t.Errorf("with the store away the call answered %d, want 503 or 504", status)
	}
	signalProcess(t, s.data, "event-store", syscall.SIGCONT)

	for _, service := range services {
		s.await(service+" that is ready again", func() bool { return s.ready(service) == http.StatusOK })
	}
	s.await("the call that failed", func() bool { return s.tryInterest(contact) == http.StatusOK })
	steps := s.call(http.StatusOK, http.MethodGet, "channel", "/v1/contacts/"+contact, nil).text("contact", "steps")
	if steps != "2" { // the claim, and the interest
		t.Errorf("the contact took %s steps, want 2: the claim, and the interest once", steps)
	}
}

// probeTells freezes a service: a probe does not get through the flow that it takes
// in, and does when it is let go on.
func (s *suite) probeTells(service, flow string) {
	s.t.Helper()
	signalProcess(s.t, s.data, service, syscall.SIGSTOP)
	out, status := s.try("flow", "probe", flow, "--timeout", "1s")
	if status != 1 || !strings.Contains(out, "has not come to the probe") {
		s.t.Errorf("triangle flow probe %s ended with %d, want 1, while %s does nothing:\n%s", flow, status, service, out)
	}
	signalProcess(s.t, s.data, service, syscall.SIGCONT)
	s.triangle("flow", "probe", flow)
}

func (s *suite) ready(service string) int {
	r, err := http.Get(s.at[service] + "/readyz")
	if err != nil {
		s.t.Fatal(err)
	}
	_ = r.Body.Close()
	return r.StatusCode
}

// tryInterest sends always the same call, with a deadline of two seconds.
func (s *suite) tryInterest(contact string) (status int) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.at["channel"]+"/v1/contacts/"+contact+"/events",
		strings.NewReader(`{"interest": {"kind": "landing-page", "topic": "jazz"}}`))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Idempotency-Key", "the same")
	r.Header.Set("Grpc-Timeout", "2S")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}
