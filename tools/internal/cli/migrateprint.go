package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"

	"github.com/triangle-suite/triangle/tools/internal/migrate"
)

// migration is a migration as --json shows it.
type migration struct {
	Name      string          `json:"name"`
	Namespace string          `json:"namespace"`
	Flow      string          `json:"flow"`
	Summary   string          `json:"summary"`
	Steps     []migrationStep `json:"steps"`
	// Awaits is the step that waits for an approval; null when none does.
	Awaits *string                        `json:"awaits_approval_of"`
	Status v1alpha1.InformationFlowStatus `json:"status"`
}

type migrationStep struct {
	Name    string        `json:"name"`
	Cadence string        `json:"cadence"`
	Stage   migrate.Stage `json:"stage"`
}

func toMigration(p migrate.Progress) migration {
	m := migration{
		Name: p.Flow.Name, Namespace: p.Flow.Namespace, Flow: p.Flow.Spec.Flow, Summary: p.Summary(), Status: p.Flow.Status,
	}
	for i, step := range p.Flow.Spec.Migration.Steps {
		m.Steps = append(m.Steps, migrationStep{step.Name, cadenceText(step.Cadence), p.Stages[i]})
	}
	if awaited := p.Awaited(); awaited != nil {
		m.Awaits = &awaited.Name
	}
	return m
}

func cadenceText(c v1alpha1.Cadence) string {
	switch {
	case c.Mode == v1alpha1.RealTime:
		return "realtime"
	case c.TimeZone != "":
		return c.Cron + " " + string(c.TimeZone)
	}
	return c.Cron
}

// printMigrations shows the migrations of a namespace; of all where none is named.
func (s *session) printMigrations(namespace string, all []v1alpha1.InformationFlow) error {
	if s.commands.JSON {
		migrations := make([]migration, 0, len(all))
		for i := range all {
			migrations = append(migrations, toMigration(migrate.ProgressOf(&all[i])))
		}
		return printJSON(s.Out, map[string]any{"migrations": migrations})
	}
	if len(all) == 0 && namespace == "" {
		_, err := fmt.Fprintln(s.Out, "the cluster has no InformationFlows in any namespace")
		return err
	}
	if len(all) == 0 {
		_, err := fmt.Fprintf(s.Out, "namespace %s has no InformationFlows; name another one with --namespace\n", namespace)
		return err
	}
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	if namespace == "" {
		fmt.Fprint(w, "NAMESPACE\t")
	}
	fmt.Fprintln(w, "FLOW\tFROM → TO\tCADENCE\tSTEP\tTARGET\tREADY\tMIGRATION")
	for i := range all {
		p := migrate.ProgressOf(&all[i])
		status := p.Flow.Status
		if namespace == "" {
			fmt.Fprint(w, p.Flow.Namespace+"\t")
		}
		fmt.Fprintf(w, "%s\t%s → %s\t%s\t%s\t%s\t%s\t%s\n", p.Flow.Name, dash(status.From), dash(status.To), dash(status.Cadence),
			stepColumn(p), dash(status.TargetStep), readyColumn(p), p.Summary())
	}
	return w.Flush()
}

// stepColumn tells the present step, and which of how many it is.
func stepColumn(p migrate.Progress) string {
	if p.Current < 0 {
		return dash(p.Flow.Status.CurrentStep)
	}
	return fmt.Sprintf("%s (%d of %d)", p.Flow.Status.CurrentStep, p.Current+1, len(p.Stages))
}

func readyColumn(p migrate.Progress) string {
	if ready := p.Condition(v1alpha1.ConditionReady); ready != nil {
		return string(ready.Status)
	}
	return "-"
}

// printMigration shows all about one migration.
func (s *session) printMigration(p migrate.Progress) error {
	if s.commands.JSON {
		return printJSON(s.Out, toMigration(p))
	}
	status := p.Flow.Status
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	row("flow", "%s, %s → %s", p.Flow.Spec.Flow, dash(status.From), dash(status.To))
	row("cadence", "%s, in epoch %d%s", dash(status.Cadence), status.Epoch, since(status.StepSince))
	row("target", "%s", dash(status.TargetStep))
	row("plan", "%s", dash(status.PlanHash))
	row("migration", "%s", p.Summary())
	if by := p.Flow.Annotations[v1alpha1.AnnotationPause]; by != "" {
		row("paused", "%s", oneLine(migrate.Asked(by)))
	}
	printParity(w, status.LastParity)
	if err := w.Flush(); err != nil {
		return err
	}
	for _, part := range []func(io.Writer, migrate.Progress){printSteps, printGates, printConditions, printTransitions} {
		part(w, p)
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func printParity(w io.Writer, p *v1alpha1.Parity) {
	if p == nil {
		return
	}
	fmt.Fprintf(w, "last proof\t%s: %d produced = %d delivered + %d filtered + %d parked\n", p.Range, p.Produced, p.Delivered, p.Filtered, p.Parked)
	fmt.Fprintf(w, "\t%d missing, %d twice, %d out of order; intake %s, content %s\n", p.Missing, p.Duplicated, p.Reordered,
		strings.ToLower(string(p.Intake)), strings.ToLower(string(p.Content)))
}

var marks = map[migrate.Stage]string{migrate.Done: "✓", migrate.Current: "▶", migrate.Next: "·", migrate.Later: "·"}

func printSteps(w io.Writer, p migrate.Progress) {
	fmt.Fprintln(w, "\nSTEP\tCADENCE\tSTAGE\tBEGINS BY\tTO GO ON")
	for i, step := range p.Flow.Spec.Migration.Steps {
		fmt.Fprintf(w, "%s %s\t%s\t%s\t%s\t%s\n", marks[p.Stages[i]], step.Name, cadenceText(step.Cadence), p.Stages[i],
			beginsBy(step), gateNames(step))
	}
}

// beginsBy says what comes before the step.
func beginsBy(step v1alpha1.Step) string {
	var parts []string
	if step.Shadow != nil {
		parts = append(parts, fmt.Sprintf("%d equal comparisons", step.Shadow.Windows))
	}
	if step.Approval != nil {
		parts = append(parts, "approval")
	}
	return dash(strings.Join(parts, ", "))
}

func gateNames(step v1alpha1.Step) string {
	var names []string
	for _, gate := range step.Gates {
		name := gate.Name
		if gate.Effect == v1alpha1.DryRun {
			name += " (dry run)"
		}
		names = append(names, name)
	}
	return dash(strings.Join(names, ", "))
}

func printGates(w io.Writer, p migrate.Progress) {
	if len(p.Flow.Status.Gates) == 0 {
		return
	}
	fmt.Fprintln(w, "\nGATE\tRESULT\tVALUE\tTHRESHOLD\tSINCE")
	for _, gate := range p.Flow.Status.Gates {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", gate.Name, gate.Result, dash(gate.Value), dash(gate.Threshold), at(gate.Since))
	}
}

func printConditions(w io.Writer, p migrate.Progress) {
	if len(p.Flow.Status.Conditions) == 0 {
		return
	}
	conditions := slices.Clone(p.Flow.Status.Conditions)
	slices.SortFunc(conditions, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) })
	fmt.Fprintln(w, "\nCONDITION\tSTATUS\tSINCE\tREASON\tMESSAGE")
	for _, c := range conditions {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", c.Type, c.Status, at(&c.LastTransitionTime), c.Reason, dash(oneLine(c.Message)))
	}
}

func printTransitions(w io.Writer, p migrate.Progress) {
	if len(p.Flow.Status.History) == 0 {
		return
	}
	fmt.Fprintln(w, "\nHISTORY\tEPOCH\tSTEP\tBY\tREASON")
	for _, h := range p.Flow.Status.History {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", at(&h.At), h.Epoch, dash(h.Step), oneLine(h.By), dash(oneLine(h.Reason)))
	}
}

func at(t *metav1.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func since(t *metav1.Time) string {
	if t.IsZero() {
		return ""
	}
	return ", since " + at(t)
}
