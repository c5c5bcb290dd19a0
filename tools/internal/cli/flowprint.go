package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/triangle-suite/triangle/contracts/flows"

	"github.com/triangle-suite/triangle/services/control"
)

// flowState is a flow as --json shows it.
type flowState struct {
	Flow           string     `json:"flow"`
	From           string     `json:"from"`
	To             string     `json:"to"`
	Cadence        string     `json:"cadence"`
	Default        string     `json:"default"`
	Epoch          uint64     `json:"epoch"`
	Requested      string     `json:"requested"`
	RequestedEpoch uint64     `json:"requested_epoch"`
	Adopted        bool       `json:"adopted"`
	Taken          *uint64    `json:"taken"` // null: the consumer has not told
	Parked         *uint64    `json:"parked"`
	AsOf           *time.Time `json:"as_of"`
}

func toFlowState(s control.State) flowState {
	f := flowState{
		Flow: s.Flow.Name, From: string(s.Flow.From), To: string(s.Flow.To),
		Cadence: s.Cadence, Default: s.Flow.Cadence, Epoch: s.Epoch,
		Requested: s.Requested, RequestedEpoch: s.RequestedEpoch, Adopted: s.Settled(),
	}
	if p := s.Progress; p != nil {
		taken, parked, asOf := p.GetTaken(), p.GetParked(), p.GetAsOf().AsTime()
		f.Taken, f.Parked = &taken, &parked
		if p.GetAsOf() != nil {
			f.AsOf = &asOf
		}
	}
	return f
}

func (s *session) printList(states []control.State) error {
	if s.commands.JSON {
		all := make([]flowState, 0, len(states))
		for _, state := range states {
			all = append(all, toFlowState(state))
		}
		return printJSON(s.Out, map[string]any{"flows": all})
	}
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FLOW\tFROM → TO\tCADENCE\tEPOCH\tTAKEN IN\tPARKED\tLAST PROGRESS")
	for _, state := range states {
		f := toFlowState(state)
		fmt.Fprintf(w, "%s\t%s → %s\t%s\t%d\t%s\t%s\t%s\n", f.Flow, f.From, f.To, cadenceColumn(f), f.Epoch,
			number(f.Taken), number(f.Parked), ageColumn(f.AsOf, time.Now()))
	}
	fmt.Fprintln(w, "* the cadence that the catalogue gives the flow")
	return w.Flush()
}

func cadenceColumn(f flowState) string {
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
func ageColumn(asOf *time.Time, now time.Time) string {
	if asOf == nil {
		return "-"
	}
	return max(0, now.Sub(*asOf)).Round(time.Second).String() + " ago"
}

// printFlow shows a flow with what the catalogue says of it.
func (s *session) printFlow(state control.State) error {
	f := toFlowState(state)
	if s.commands.JSON {
		return printJSON(s.Out, struct {
			flowState
			Types     []string `json:"types"`
			Version   uint64   `json:"types_version"` // 0: the consumer has not told
			Carried   []string `json:"types_carried"`
			Key       []string `json:"key"`
			Owner     string   `json:"owner"`
			Rationale string   `json:"rationale"`
		}{f, state.Flow.Types, state.Types.GetVersion(), state.Types.GetTypes(), state.Flow.Key, state.Flow.Owner, state.Flow.Rationale})
	}
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	row("flow", "%s", f.Flow)
	row("from, to", "%s → %s", f.From, f.To)
	row("carries", "%s", strings.Join(state.Flow.Types, "\n\t"))
	row("types", "%s", typesRow(state))
	row("in order by", "%s", strings.Join(state.Flow.Key, ", else "))
	row("owner", "%s", state.Flow.Owner)
	row("rationale", "%s", state.Flow.Rationale)
	row("cadence", "%s (the catalogue's: %s)", f.Cadence, f.Default)
	if !f.Adopted {
		row("asked for", "%s, in epoch %d", f.Requested, f.RequestedEpoch)
	}
	row("epoch", "%d", f.Epoch)
	row("next window", "%s", nextWindow(f.Cadence, time.Now()))
	row("taken in", "%s in this epoch", number(f.Taken))
	row("parked", "%s", number(f.Parked))
	row("last progress", "%s", ageColumn(f.AsOf, time.Now()))
	return w.Flush()
}

// typesRow tells what the consumer's build makes of the catalogue's types.
func typesRow(state control.State) string {
	adopted := state.Types
	if adopted == nil {
		return "-"
	}
	text := fmt.Sprintf("version %d, after C:%d/P:%d", adopted.GetVersion(), adopted.GetPosition().GetCommit(), adopted.GetPosition().GetPrepare())
	if !slices.Equal(adopted.GetTypes(), slices.Sorted(slices.Values(state.Flow.Types))) {
		text += ": " + strings.Join(adopted.GetTypes(), ", ")
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
		return printJSON(s.Out, toFlowState(state))
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
