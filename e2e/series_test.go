package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// scrapeURL returns metrics as Prometheus asks for them.
func (s *suite) scrapeURL(url string) string {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Accept", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		s.t.Fatalf("%s is answered %d: %v", url, answer.StatusCode, err)
	}
	return string(text)
}

// seriesOf returns the series of each metric, buckets as one.
func seriesOf(text string) map[string]map[string]bool {
	all := map[string]map[string]bool{}
	bucket := regexp.MustCompile(`,?le="[^"]*"`)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		series, _, _ := strings.Cut(line, "} ")
		name, labels, _ := strings.Cut(series, "{")
		name, _, _ = strings.Cut(name, " ")
		if all[name] == nil {
			all[name] = map[string]bool{}
		}
		all[name][bucket.ReplaceAllString(labels, "")] = true
	}
	return all
}

// madeUp is what no label may hold: ids, streams, and what the test itself made up.
var madeUp = regexp.MustCompile(`[0-9a-fA-F]{8}-[0-9a-fA-F]{4}|[0-9a-f]{32}|contact-|customer-[0-9]|request-[0-9]|lead-[0-9]|decisions-|flow-|@|made-up|MADEUP`)

// cadences are what a flow is moved to, one after the other; what it ends at is the
// same each time.
func cadencesOf(round int) []string {
	return []string{"weekly", fmt.Sprintf("%d 3 * * *", round%60), fmt.Sprintf("CRON_TZ=Europe/Amsterdam %d 4 * * 1", round%60), "paused", "hourly"}
}

// Customers, contacts, cadences and wrong calls without end make no series without end:
// after many there are those that there were after a few, and a few codes more.
func TestSeriesAreBounded(t *testing.T) {
	collect(t) // else nothing of handing over would be told
	s := up(t)
	s.prefix = "series-"
	s.offerPropositions()
	s.playVisitor(s.plantVisitor(&canaries{}))
	s.await("a mail that a partner has taken", func() bool {
		return strings.Contains(s.scrapeText("channel"), "triangle_partner_handler_execution_time_seconds_count")
	})
	for round := range 3 {
		s.makeSeries(round)
	}
	s.triangle("flow", "audit", "contacts")
	s.await("what is left of the error budgets", func() bool { return strings.Contains(s.scrapeText("sales"), "triangle_flow_error_budget_left_ratio{") })
	before := s.allSeries()
	for round := 3; round < 25; round++ {
		s.makeSeries(round)
	}
	after := s.allSeries()
	const more = 3 // codes, and types of events, that chance has not brought before
	for name, series := range after {
		if n := len(series); n > len(before[name])+more || n > 400 {
			t.Errorf("%s has %d series, and had %d", name, n, len(before[name]))
		}
		flows := map[string]int{}
		for labels := range series {
			if held := madeUp.FindString(strings.ReplaceAll(labels, `"contact-events"`, "")); held != "" {
				t.Errorf("%s has a label with %q: %s", name, held, labels)
			}
			flows[regexp.MustCompile(`flow="[^"]*"`).FindString(labels)]++
		}
		if strings.HasSuffix(name, "triangle_flow_info") {
			for flow, n := range flows {
				if n != 1 {
					t.Errorf("%s is said to run in %d ways at once", flow, n)
				}
			}
		}
	}
	wantListed(t, after)
	for source, text := range s.scrapes() {
		wantExplained(t, source, text)
	}
	if len(after) < 100 {
		t.Errorf("there are only %d metrics: the rule would hold of nothing", len(after))
	}
}

// scrapes are what all services and the store tell, by who does.
func (s *suite) scrapes() map[string]string {
	s.t.Helper()
	all := map[string]string{"event store": s.scrapeURL("http://" + s.eventStore + "/metrics")}
	for _, service := range services {
		all[service] = s.scrapeText(service)
	}
	return all
}

// allSeries returns the series of all services and of the store.
func (s *suite) allSeries() map[string]map[string]bool {
	s.t.Helper()
	all := map[string]map[string]bool{}
	for source, text := range s.scrapes() {
		for name, series := range seriesOf(text) {
			all[source+" "+name] = series
		}
	}
	return all
}

// ours is what the names of our own metrics begin with, and ending what they end in: a
// unit, or what they count.
var (
	ours   = regexp.MustCompile(`^(triangle|messaging|eventstore)_`)
	ending = regexp.MustCompile(`_(seconds|bytes|ratio|events|info|total|commands|position|running|open|subscriptions|consumers|waiting|in_flight|retrying|parked)$`)
)

// wantExplained wants each metric of ours to say what it is, in help and in unit.
func wantExplained(t *testing.T, source, text string) {
	t.Helper()
	help := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^# HELP (\S+) (.*)$`).FindAllStringSubmatch(text, -1) {
		help[line[1]] = line[2]
	}
	for _, line := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
		name, kind := line[1], line[2]
		if !ours.MatchString(name) {
			continue
		}
		if len(help[name]) < 10 {
			t.Errorf("%s: %s explains itself by %q", source, name, help[name])
		}
		if kind == "counter" {
			name += "_total" // which OpenMetrics leaves out here
		}
		if !ending.MatchString(name) || strings.HasSuffix(name, "_total") != (kind == "counter") {
			t.Errorf("%s: %s, a %s, ends in no unit", source, name, kind)
		}
	}
}

// makeSeries does all that might make series.
func (s *suite) makeSeries(round int) {
	s.t.Helper()
	number := fmt.Sprintf("made-up-%d", round)
	s.call(http.StatusOK, http.MethodPost, "sales", "/v1/customers", body{"customer_number": number, "source": number})
	contact := s.startContact("CHANNEL_WEBSITE", number)
	s.look(contact)
	s.call(http.StatusOK, http.MethodPost, "channel", "/v1/contacts/"+contact+"/requests", body{"kind": "REQUEST_KIND_SERVICE", "text": number})
	s.call(http.StatusOK, http.MethodPost, "channel", "/v1/contacts/"+contact+"/end", body{"outcome": "CONTACT_OUTCOME_ABANDONED"})
	s.call(http.StatusOK, http.MethodPut, "channel", "/v1/event-kinds/"+number, body{"type": "object", "additionalProperties": false, "properties": body{"said": body{"type": "string"}}})
	s.call(http.StatusOK, http.MethodPut, "marketing", "/v1/propositions/"+number, body{
		"name": number, "purpose": "PURPOSE_SALES", "topic": number, "value_cents": 1, "lever": 1, "base_propensity": 0.1,
		"contents": []body{{"channel": "CHANNEL_WEBSITE", "text": number}, {"channel": "CHANNEL_EMAIL", "text": number}},
	})
	s.call(http.StatusOK, http.MethodPut, "marketing", "/v1/campaigns/"+number, body{
		"name": number, "proposition_id": number, "channel": "CHANNEL_EMAIL", "min_orders": 1, "max_leads": 1, "priority": 1,
	})
	s.appendByHand(number, "made-up."+number, "{}")
	for _, service := range services {
		s.badCall(fmt.Sprintf("MADEUP%d", round), service, "/v1/"+number, "", number)
		s.badCall(http.MethodGet, service, "/"+number+"/"+number, "", number)
		s.badCall(http.MethodPost, service, "/loglevel", number, number)
	}
	cadences := cadencesOf(round)
	s.triangle("flow", "set", "lead-dispatch", "--cadence", cadences[round%len(cadences)])
}

// rowOf reads a metric and its labels from the README's table. Those of the operator are
// compared where it is tested.
var rowOf = regexp.MustCompile("(?m)^\\| `((?:triangle|messaging|eventstore)_[a-z_]+)` \\|([^|]*)\\|")

// wantListed wants the README to list each metric of ours with its labels, and none that
// there is not.
func wantListed(t *testing.T, all map[string]map[string]bool) {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, row := range rowOf.FindAllStringSubmatch(string(readme), -1) {
		if !strings.HasPrefix(row[1], "triangle_operator_") {
			listed[row[1]] = row[2]
		}
	}
	seen := map[string]bool{}
	for name, series := range all {
		name = name[strings.LastIndex(name, " ")+1:]
		for _, suffix := range []string{"_bucket", "_count", "_sum", "_created"} {
			name = strings.TrimSuffix(name, suffix)
		}
		if !ours.MatchString(name) {
			continue
		}
		seen[name] = true
		labels, ok := listed[name]
		if !ok {
			t.Errorf("the README does not list %s", name)
		}
		for one := range series {
			for _, label := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(one, -1) {
				if !strings.Contains(labels, "`"+label[1]+"`") {
					t.Errorf("the README does not list label %s of %s", label[1], name)
				}
			}
		}
	}
	for name := range listed {
		if !seen[name] {
			t.Errorf("the README lists %s, which there is not", name)
		}
	}
}
