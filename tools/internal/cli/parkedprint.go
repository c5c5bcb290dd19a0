package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"

	"github.com/triangle-suite/triangle/services/control"
)

// parkedState is a parked event as --json shows it.
type parkedState struct {
	Flow     string        `json:"flow"`
	Consumer string        `json:"consumer"`
	Event    string        `json:"event_id"`
	Type     string        `json:"type"`
	Key      string        `json:"key"`
	Commit   uint64        `json:"commit_position"`
	Prepare  uint64        `json:"prepare_position"`
	ParkedAt time.Time     `json:"parked_at"`
	Attempts uint64        `json:"attempts"`
	Reason   string        `json:"reason"`
	WaitsFor string        `json:"waits_for,omitempty"`
	Waiting  []parkedState `json:"waiting,omitempty"`
}

func toParkedState(p control.Parked) parkedState {
	state := parkedState{
		Flow: p.Flow.Name, Consumer: string(p.Flow.To), Event: p.GetEventId(), Type: p.GetType(), Key: p.GetKey(),
		Commit: p.GetPosition().GetCommit(), Prepare: p.GetPosition().GetPrepare(),
		ParkedAt: p.GetParkedAt().AsTime(), Attempts: p.GetAttempts(), Reason: p.GetReason(), WaitsFor: p.GetWaitsFor(),
	}
	for _, w := range p.Waiting {
		state.Waiting = append(state.Waiting, toParkedState(control.Parked{Flow: p.Flow, ParkedEvent: w}))
	}
	return state
}

// oneLine keeps what an event brought along from steering the terminal.
func oneLine(text string) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	return strings.Join(strings.Fields(clean), " ")
}

func (s *session) printParked(all []control.Parked) error {
	if s.commands.JSON {
		states := make([]parkedState, 0, len(all))
		for _, p := range all {
			states = append(states, toParkedState(p))
		}
		return printJSON(s.Out, map[string]any{"parked": states})
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(s.Out, "nothing is parked")
		return err
	}
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FLOW\tCONSUMER\tKEY\tEVENT\tTYPE\tPOSITION\tPARKED\tATTEMPTS\tWAITING\tREASON")
	for _, p := range all {
		state := toParkedState(p)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%d\t%d\t%s\n", state.Flow, state.Consumer, oneLine(state.Key), state.Event,
			oneLine(state.Type), state.Commit, ageColumn(&state.ParkedAt, time.Now()), state.Attempts, len(state.Waiting), oneLine(state.Reason))
	}
	return w.Flush()
}

func (s *session) printParkedEvent(e control.ParkedEvent) error {
	state := toParkedState(e.Parked)
	if s.commands.JSON {
		shown := struct {
			parkedState
			Stream     string          `json:"stream"`
			Revision   uint64          `json:"revision"`
			Created    time.Time       `json:"created"`
			Metadata   json.RawMessage `json:"metadata,omitempty"`
			Data       json.RawMessage `json:"data,omitempty"`
			Unreadable string          `json:"unreadable,omitempty"`
		}{state, e.Stream, e.Revision, e.Created, e.Metadata, e.Data, unreadable(e)}
		return printJSON(s.Out, shown)
	}
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	row("flow", "%s, taken in by %s support", state.Flow, state.Consumer)
	row("event", "%s", state.Event)
	row("type", "%s", oneLine(state.Type))
	row("key", "%s", oneLine(state.Key))
	row("position", "C:%d/P:%d", state.Commit, state.Prepare)
	row("parked", "%s (%s)", state.ParkedAt.Format("2006-01-02 15:04:05Z07:00"), ageColumn(&state.ParkedAt, time.Now()))
	row("attempts", "%d", state.Attempts)
	row("reason", "%s", oneLine(state.Reason))
	if state.WaitsFor != "" {
		row("waits for", "%s", state.WaitsFor)
	}
	for _, waiting := range state.Waiting {
		row("behind it", "%s  %s", waiting.Event, oneLine(waiting.Type))
	}
	if e.Stream != "" {
		row("stream", "%s@%d", oneLine(e.Stream), e.Revision)
		row("happened", "%s", e.Created.UTC().Format("2006-01-02 15:04:05Z07:00"))
	}
	if len(e.Metadata) > 0 {
		row("metadata", "%s", oneLine(string(e.Metadata)))
	}
	if why := unreadable(e); why != "" {
		row("data", "%s", oneLine(why))
	} else {
		row("data", "%s", oneLine(string(e.Data)))
	}
	return w.Flush()
}

// unreadable tells why an event's data is not shown; nothing when it is.
func unreadable(e control.ParkedEvent) string {
	switch {
	case e.Stream == "":
		return "the event store has the event no more"
	case e.Unreadable != nil:
		return "not shown, as it can't be read and might be personal: " + e.Unreadable.Error()
	default:
		return ""
	}
}

// printAnswers tells what came of requests, or otherwise what else there is to
// say.
func (s *session) printAnswers(flow string, answers []*flowv1.ParkingAnswered, otherwise string) error {
	if s.commands.JSON {
		all := make([]json.RawMessage, 0, len(answers))
		for _, a := range answers {
			raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(a)
			if err != nil {
				return err
			}
			all = append(all, raw)
		}
		return printJSON(s.Out, map[string]any{"ok": refused(answers) == nil, "flow": flow, "answers": all})
	}
	if otherwise != "" {
		_, err := fmt.Fprintf(s.Out, "%s: %s\n", flow, otherwise)
		return err
	}
	for _, a := range answers {
		if isDone(a) {
			fmt.Fprintf(s.Out, "%s: %s\n", flow, oneLine(control.Outcome(a)))
		}
	}
	return nil
}
