package observe

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// Load has Prometheus take rules, as YAML or JSON, in place of those that it has.
func (p *Prometheus) Load(rules string) {
	p.t.Helper()
	p.write("rules.yaml", rules)
	if err := ask(p.t.Context(), http.MethodPost, p.url+"/-/reload", nil); err != nil {
		p.t.Fatalf("load the rules: %v\n%s", err, rules)
	}
}

// Rule is how a rule stands.
type Rule struct {
	Name      string
	Health    string // unknown, until it has been evaluated; ok; err
	LastError string
}

// Rules are those that are loaded.
func (p *Prometheus) Rules() (all []Rule) {
	p.t.Helper()
	var answer struct {
		Data struct{ Groups []struct{ Rules []Rule } }
	}
	if err := p.get("/api/v1/rules", nil, &answer); err != nil {
		p.t.Fatalf("rules: %v", err)
	}
	for _, group := range answer.Data.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// Fires tells whether an alert fires for a flow.
func (p *Prometheus) Fires(alert, flow string) bool {
	p.t.Helper()
	return len(p.Query(fmt.Sprintf("ALERTS{alertname=%q, flow=%q, alertstate=\"firing\"}", alert, flow))) > 0
}

var spans = regexp.MustCompile(`(\[|"?for"?: *"?)(\d+)(m|h)\b`)

// Faster returns rules, as YAML or JSON, with a second for each minute that they look
// back or wait.
func Faster(rules string) string {
	return spans.ReplaceAllStringFunc(rules, func(found string) string {
		if n, isHours := strings.CutSuffix(found, "h"); isHours {
			return n + "m"
		}
		return strings.TrimSuffix(found, "m") + "s"
	})
}
