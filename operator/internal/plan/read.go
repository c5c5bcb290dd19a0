package plan

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

var label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

func (r *reader) name(path, name string) {
	if !label.MatchString(name) || len(name) > 63 {
		r.refuse(path, "%q: write up to 63 lower-case letters, digits and dashes", name)
	}
}

func (r *reader) step(path string, s v1alpha1.Step) Step {
	r.name(path+".name", s.Name)
	step := Step{Name: s.Name, Cadence: r.cadence(path+".cadence", s.Cadence)}
	if s.Shadow != nil {
		if s.Shadow.Windows < 1 || s.Shadow.Windows > 100 {
			r.refuse(path+".shadow.windows", "%d: write 1 to 100", s.Shadow.Windows)
		}
		step.Shadow = int(s.Shadow.Windows)
	}
	if s.Approval != nil {
		r.oneOf(path+".approval.mode", string(s.Approval.Mode), "Required")
		step.Approval = &Approval{Timeout: r.duration(path+".approval.timeout", s.Approval.Timeout)}
	}
	names := map[string]bool{}
	for i, g := range s.Gates {
		at := fmt.Sprintf("%s.gates[%d]", path, i)
		if names[g.Name] {
			r.refuse(at+".name", "%q: give each gate a name of its own", g.Name)
		}
		names[g.Name] = true
		step.Gates = append(step.Gates, r.gate(at, g))
	}
	return step
}

// cadence returns a cadence in the catalogue's notation.
func (r *reader) cadence(path string, c v1alpha1.Cadence) string {
	switch {
	case (c.Cron == "") == (c.Mode == ""):
		r.refuse(path, "write either cron or mode: RealTime")
		return ""
	case c.Cron == "" && c.TimeZone != "":
		r.refuse(path, "a time zone belongs to a cron expression")
		return ""
	case c.Mode != "":
		r.oneOf(path+".mode", string(c.Mode), "", "RealTime")
		return flows.RealTime
	}
	text := strings.Join(strings.Fields(c.Cron), " ")
	if zone := r.zone(path+".timeZone", c.TimeZone); zone != time.UTC {
		text = "CRON_TZ=" + string(c.TimeZone) + " " + text
	}
	parsed, err := flows.ParseSchedule(text)
	r.add(path+".cron", err)
	return parsed.String()
}

func (r *reader) gate(path string, g v1alpha1.Gate) Gate {
	r.name(path+".name", g.Name)
	r.oneOf(path+".effect", string(g.Effect), "", "Enforce", "DryRun")
	gate := Gate{
		Name: g.Name, For: r.duration(path+".for", g.For),
		Consecutive: max(1, int(g.Consecutive)), DryRun: g.Effect == v1alpha1.DryRun,
	}
	if g.Consecutive < 0 || g.Consecutive > 1000 {
		r.refuse(path+".consecutive", "%d: write 1 to 1000", g.Consecutive)
	}
	kinds := 0
	if g.Parity != nil {
		kinds++
		if min(g.Parity.Missing, g.Parity.Duplicated, g.Parity.Reordered) < 0 {
			r.refuse(path+".parity", "write no number below 0")
		}
		gate.Kind = Parity
		gate.Missing, gate.Duplicated, gate.Reordered = uint64(g.Parity.Missing), uint64(g.Parity.Duplicated), uint64(g.Parity.Reordered)
	}
	if g.Lag != nil {
		kinds++
		gate.Kind, gate.MaxEvents = Lag, uint64(g.Lag.MaxEvents)
		if g.Lag.MaxEvents < 0 {
			r.refuse(path+".lag.maxEvents", "write no number below 0")
		}
		if g.Consecutive != 0 {
			r.refuse(path, "nothing is counted of lag: write for how long it has to be so, in for")
		}
	}
	if g.Freshness != nil {
		kinds++
		gate.Kind, gate.Share = Freshness, r.share(path+".freshness.objective", g.Freshness.Objective)
		parsed, err := g.Freshness.Max.Parse()
		r.add(path+".freshness.max", err)
		gate.Max = parsed
	}
	if g.ErrorBudget != nil {
		kinds++
		gate.Kind, gate.MinLeft = ErrorBudget, int(g.ErrorBudget.MinRemainingPercent)
		if gate.MinLeft < 0 || gate.MinLeft > 100 {
			r.refuse(path+".errorBudget.minRemainingPercent", "%d: write 0 to 100", gate.MinLeft)
		}
	}
	if kinds != 1 {
		r.refuse(path, "a gate is exactly one of parity, lag, freshness and errorBudget")
	}
	return gate
}

var weekdays = []v1alpha1.Weekday{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

func (r *reader) window(path string, w v1alpha1.MaintenanceWindow) Window {
	window := Window{Zone: r.zone(path+".timeZone", w.TimeZone)}
	if len(w.Days) == 0 {
		r.refuse(path+".days", "name at least one day")
	}
	for _, d := range w.Days {
		day := slices.Index(weekdays, d)
		if day < 0 {
			r.refuse(path+".days", "%q: write one of Mon, Tue, Wed, Thu, Fri, Sat, Sun", d)
			continue
		}
		window.Days[day] = true
	}
	window.Start, window.End = r.clock(path+".start", w.Start), r.clock(path+".end", w.End)
	if window.Start >= window.End {
		r.refuse(path, "a window begins before it ends, on one day: write two for one that goes past midnight")
	}
	return window
}

var clock = regexp.MustCompile(`^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`)

// clock is a time of day as how long after midnight the wall clock shows it.
func (r *reader) clock(path, text string) time.Duration {
	if !clock.MatchString(text) {
		r.refuse(path, "%q: write a time of day as hh:mm", text)
		return 0
	}
	var hours, minutes int
	if _, err := fmt.Sscanf(text, "%d:%d", &hours, &minutes); err != nil {
		r.add(path, err)
	}
	return time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
}
