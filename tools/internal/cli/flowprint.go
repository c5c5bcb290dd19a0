package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/triangle-suite/triangle/contracts/flows"

	"github.com/triangle-suite/triangle/services/control"
)

func (s *session) printList(all []flowState) error {
	if s.commands.JSON {
		return printJSON(s.Out, map[string]any{"flows": all})
	}
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FLOW\tFROM → TO\tCADENCE\tEPOCH\tTAKEN IN\tPARKED\tLAG\tSTALENESS\tOBJECTIVE\tBUDGET LEFT\tLAST PROGRESS")
	for _, f := range all {
		fmt.Fprintf(w, "%s\t%s → %s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Flow, f.From, f.To, cadenceColumn(f.steeredState), f.Epoch,
			number(f.Taken), number(f.Parked), number(f.Lag), stalenessColumn(f.Staleness), objectiveColumn(f.Objective), budgetColumn(f.Budget),
			ageColumn(f.ToldAt, time.Now()))
	}
	fmt.Fprintln(w, "* the cadence that the catalogue gives the flow")
	return w.Flush()
}

func cadenceColumn(f steeredState) string {
	text := f.Cadence
	if f.Cadence == f.Default {
		text += " *"
	}
	if !f.Adopted {
		text += fmt.Sprintf(" (%s asked for)", f.Requested)
	}
	return text
}

func number(n *uint64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// ageColumn tells how long ago a flow told of its progress. One that has nothing
// to take in tells nothing, however current it is. Clocks differ: an age is never
// negative.
func ageColumn(toldAt *time.Time, now time.Time) string {
	if toldAt == nil {
		return "-"
	}
	return max(0, now.Sub(*toldAt)).Round(time.Second).String() + " ago"
}

func stalenessColumn(seconds *float64) string {
	if seconds == nil {
		return "-"
	}
	return short(time.Duration(*seconds * float64(time.Second)))
}

// objectiveColumn tells how stale a flow may be, and for which share of the time
// that is to hold.
func objectiveColumn(o *objective) string {
	if o == nil {
		return "-"
	}
	return fmt.Sprintf("%s, %s", short(time.Duration(o.Staleness*float64(time.Second))), percent(o.Share))
}

func objectiveRow(o *objective) string {
	if o == nil {
		return "- (it is paused)"
	}
	return fmt.Sprintf("no staler than %s for %s of the time, over %s",
		short(time.Duration(o.Staleness*float64(time.Second))), percent(o.Share), short(flows.Window))
}

func budgetColumn(left *float64) string {
	if left == nil {
		return "-"
	}
	return percent(math.Floor(*left*1000) / 1000) // what is spent is never rounded away
}

func percent(share float64) string { return strconv.FormatFloat(share*100, 'g', 6, 64) + "%" }

// short tells a time to its two largest units, such as 7d14h.
func short(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day {
		d = d.Round(time.Hour)
		return trim(fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour), "0h")
	}
	if d >= time.Hour {
		d = d.Round(time.Minute)
	}
	return trim(trim(d.Round(time.Second).String(), "0s"), "0m")
}

// trim cuts off a last unit of which there is none.
func trim(text, none string) string {
	if short, ok := strings.CutSuffix(text, none); ok && short != "" && !unicode.IsDigit(rune(short[len(short)-1])) {
		return short
	}
	return text
}

// printFlow shows a flow with what the catalogue says of it.
func (s *session) printFlow(flow flows.Flow, f flowState) error {
	if s.commands.JSON {
		return printJSON(s.Out, struct {
			flowState
			Types     []string `json:"types"`
			Key       []string `json:"key"`
			Owner     string   `json:"owner"`
			Rationale string   `json:"rationale"`
		}{f, flow.Types, flow.Key, flow.Owner, flow.Rationale})
	}
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	row("flow", "%s", f.Flow)
	row("from, to", "%s → %s", f.From, f.To)
	row("carries", "%s", strings.Join(flow.Types, "\n\t"))
	row("types", "%s", typesRow(flow, f))
	row("in order by", "%s", strings.Join(flow.Key, ", else "))
	row("owner", "%s", flow.Owner)
	row("rationale", "%s", flow.Rationale)
	row("cadence", "%s (the catalogue's: %s)", f.Cadence, f.Default)
	if !f.Adopted {
		row("asked for", "%s, in epoch %d", f.Requested, f.RequestedEpoch)
	}
	row("epoch", "%d", f.Epoch)
	row("next window", "%s", nextWindow(f.Cadence, time.Now()))
	row("taken in", "%s in this epoch", number(f.Taken))
	row("parked", "%s", number(f.Parked))
	row("waiting", "%s", number(f.Lag))
	row("staleness", "%s", stalenessColumn(f.Staleness))
	row("objective", "%s", objectiveRow(f.Objective))
	row("budget left", "%s", budgetColumn(f.Budget))
	row("last progress", "%s", ageColumn(f.ToldAt, time.Now()))
	return w.Flush()
}

// typesRow tells what the consumer's build makes of the catalogue's types.
func typesRow(flow flows.Flow, f flowState) string {
	if f.TypesVersion == 0 {
		return "-"
	}
	text := fmt.Sprintf("version %d, after %s", f.TypesVersion, f.TypesAfter)
	if !slices.Equal(f.TypesCarried, slices.Sorted(slices.Values(flow.Types))) {
		text += ": " + strings.Join(f.TypesCarried, ", ")
	}
	return text
}

func nextWindow(cadence string, now time.Time) string {
	c, err := flows.ParseCadence(cadence)
	if err != nil || !c.IsPeriodic() {
		return "-"
	}
	return c.Next(now).UTC().Format("Mon 2006-01-02 15:04 MST")
}

func (s *session) printSteered(state control.State, line string) error {
	if s.commands.JSON {
		return printJSON(s.Out, toSteeredState(state))
	}
	_, err := fmt.Fprintln(s.Out, line)
	return err
}

// printHistory tells a flow's control events, oldest first.
func (s *session) printHistory(entries []control.Entry) error {
	if s.commands.JSON {
		return s.printHistoryJSON(entries)
	}
	if len(entries) == 0 {
		_, err := fmt.Fprintln(s.Out, "nothing yet: it runs as the catalogue says")
		return err
	}
	for _, e := range entries {
		fmt.Fprintf(s.Out, "%s  %s\n", e.At.UTC().Format("2006-01-02 15:04:05.000Z"), e)
	}
	return nil
}

func (s *session) printHistoryJSON(entries []control.Entry) error {
	type entry struct {
		At    time.Time       `json:"at"`
		Type  string          `json:"type"`
		Event json.RawMessage `json:"event"`
	}
	all := make([]entry, 0, len(entries))
	var errs []error
	for _, e := range entries {
		event, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(e.Event)
		errs = append(errs, err)
		all = append(all, entry{At: e.At, Type: string(e.Event.ProtoReflect().Descriptor().FullName()), Event: event})
	}
	return errors.Join(errors.Join(errs...), printJSON(s.Out, map[string]any{"history": all}))
}
