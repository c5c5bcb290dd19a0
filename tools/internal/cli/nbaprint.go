package cli

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
)

type action = *journeyv1.NextBestAction

func compare(a, b float64) int { return cmp.Compare(a, b) }

// word is an enum's value as one says it.
func word[E interface {
	protoreflect.Enum
	String() string
}](value E, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(value.String(), prefix)), "_", "-")
}

func (s *session) printExplained(e explained) error {
	if s.commands.JSON {
		return printJSON(s.Out, e)
	}
	d := e.Decision
	fmt.Fprintf(s.Out, "decision %s of %s, for customer %s, asked for by event %s\n", e.ID,
		d.GetDecidedAt().AsTime().Format("2006-01-02 15:04:05Z07:00"), d.GetCustomerId(), d.GetCauseId())
	fmt.Fprintf(s.Out, "model %s (%.12s), seed %d%s\n\n", e.Model, d.GetModelDigest(), d.GetSeed(), groupNote(d.GetGroup()))
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tPROPOSITION\tPRIORITY\tPROPENSITY\tCONTEXT\tVALUE\tLEVER\tLEARNED (90%)\tCOMES FIRST")
	for i, k := range e.List {
		printConsidered(w, fmt.Sprint(i+1), k)
	}
	for _, k := range e.Unlisted {
		printConsidered(w, "-", k)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, k := range e.LeftOut {
		fmt.Fprintf(s.Out, "left out  %s, by %s\n", k.Name, strings.Join(k.Failed, ", "))
	}
	for _, f := range d.GetRestedOn() {
		fmt.Fprintf(s.Out, "rested on %s\n", restedOn(f))
	}
	if e.WhyNot != "" {
		fmt.Fprintf(s.Out, "\n%s\n", e.WhyNot)
	}
	return nil
}

func groupNote(g marketingv1.Group) string {
	if g == marketingv1.Group_GROUP_CONTROL {
		return ", in the control group: the order is drawn at random"
	}
	return ""
}

func printConsidered(w *tabwriter.Writer, place string, k considered) {
	c := k.Candidate
	learned, first := "-", "-"
	if c.GetLearnedRate() > 0 {
		learned = fmt.Sprintf("%.1f%% (%.1f to %.1f)", 100*c.GetLearnedRate(), 100*c.GetLearnedLow(), 100*c.GetLearnedHigh())
		first = fmt.Sprintf("%.1f%% ± %.1f", 100*c.GetFirstProbability(), 100*c.GetFirstProbabilityError())
	}
	fmt.Fprintf(w, "%s\t%s\t%.4g\t%.3g\t%.3g\t%.6g\t%.3g\t%s\t%s\n", place, k.Name,
		c.GetPriority(), c.GetPropensity(), c.GetContext(), c.GetValue(), c.GetLever(), learned, first)
}

func restedOn(f *flowv1.Freshness) string {
	return fmt.Sprintf("%s up to C:%d/P:%d, %s, %s behind", f.GetFlow(),
		f.GetPosition().GetCommit(), f.GetPosition().GetPrepare(), f.GetCadence(), f.GetStaleness().AsDuration().Round(time.Millisecond))
}

func (s *session) printReplayed(r *marketingv1.GetReplayResponse, same bool) error {
	if s.commands.JSON {
		return printJSON(s.Out, map[string]any{
			"ok": same, "decision_id": r.GetDecisionId(), "outcome": word(r.GetOutcome(), "REPLAY_OUTCOME_"),
			"difference": r.GetDifference(), "model_version": r.GetModelVersion(), "candidates": r.GetCandidates(), "folded": r.GetFolded(),
		})
	}
	if !same {
		return nil
	}
	if r.GetFolded() > 0 {
		if _, err := fmt.Fprintf(s.Out, "what it rested on is what %s of the log come to\n", countOf(int(r.GetFolded()), "event")); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(s.Out, "decision %s comes out the same, bit for bit: %d propositions, model %s\n", r.GetDecisionId(), r.GetCandidates(), r.GetModelVersion())
	return err
}
