package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/triangle-suite/triangle/services/story"
)

const (
	traceTime = "2006-01-02 15:04:05.000Z"
	// factWidth is how much of one value is printed.
	factWidth = 48
)

// unsaid are facts that a line of the story leaves out: what they say, the tree says
// too, or nobody reads off a line. They are in --json.
var unsaid = map[string]bool{"cause id": true, "decision id": true, "model digest": true, "model version": true, "handler": true}

// printTrace tells a story as a tree: what an event caused hangs below it.
func (s *session) printTrace(told *story.Story, full bool) error {
	ids := shortIDs(told, full)
	printTraceHead(s.Out, told)
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "AT\tAFTER\tSERVICE\tEVENT\tSTREAM\tTRACE\tWHAT")
	for _, h := range told.Events {
		printHappening(w, ids, h, "", "", "")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return printTraceFoot(s.Out, told)
}

func printTraceHead(w io.Writer, told *story.Story) {
	n, streams := 0, map[string]bool{}
	var first, last time.Time
	told.All(func(h *story.Happening, _ int) {
		n++
		streams[h.Stream] = true
		if first.IsZero() || h.At.Before(first) {
			first = h.At
		}
		if h.At.After(last) {
			last = h.At
		}
	})
	fmt.Fprintf(w, "contact %s\n%s in %s, over %s; %s of the log read\n\n", oneLine(told.Contact),
		countOf(n, "event"), countOf(len(streams), "stream"), span(last.Sub(first)), countOf(told.Read, "event"))
}

// printHappening prints an event, what became of it in the flows, and its answers.
// Its own line begins with lead, those below it with indent.
func printHappening(w io.Writer, ids *shortener, h *story.Happening, lead, indent, trace string) {
	shown := ""
	if h.Trace != trace {
		shown = ids.of(h.Trace)
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s@%d\t%s\t%s%s\n", h.At.UTC().Format(traceTime), hop(h.Hop), serviceOf(h), ids.of(h.ID),
		ids.within(oneLine(h.Stream)), h.Revision, shown, lead, ids.within(what(h)))
	notes := notesOf(h)
	for i, n := range notes {
		branch := "├─ "
		if i == len(notes)-1 && len(h.Answers) == 0 {
			branch = "└─ "
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t\t\t\t%s%s%s\n", n.at, n.after, n.service, indent, branch, ids.within(n.text))
	}
	for i, answer := range h.Answers {
		branch, below := "├─ ", "│  "
		if i == len(h.Answers)-1 {
			branch, below = "└─ ", "   "
		}
		printHappening(w, ids, answer, indent+branch, indent+below, h.Trace)
	}
}

func serviceOf(h *story.Happening) string {
	if h.Service == "" {
		return "?"
	}
	return oneLine(h.Service)
}

func hop(d *time.Duration) string {
	if d == nil {
		return ""
	}
	return "+" + span(*d)
}

// span tells a time: to the millisecond where it is short, else to its two largest
// units. Clocks of a store's nodes differ: it may be negative.
func span(d time.Duration) string {
	if d < time.Minute {
		return d.Round(time.Millisecond).String()
	}
	return short(d)
}

// what tells what happened, in words.
func what(h *story.Happening) string {
	text := h.Words
	if h.Type == "flow.NothingDecided" && h.Handler != "" {
		text += " (" + oneLine(h.Handler) + ")"
	}
	var facts []string
	for _, f := range h.Facts {
		if !unsaid[f.Name] {
			facts = append(facts, f.Name+" "+cut(oneLine(f.Value), factWidth))
		}
	}
	if len(h.Sealed) > 0 {
		facts = append(facts, "sealed: "+strings.Join(h.Sealed, " and "))
	}
	if len(facts) > 0 {
		text += ": " + strings.Join(facts, ", ")
	}
	return text
}

// cut ends a text that is too long with an ellipsis.
func cut(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	return string(runes[:width-1]) + "…"
}

// note is a line about an event that is none itself.
type note struct{ at, after, service, text string }

func notesOf(h *story.Happening) (all []note) {
	if h.Problem != "" {
		all = append(all, note{text: "! " + oneLine(h.Problem)})
	}
	if o := h.Origin; o != nil {
		all = append(all, note{at: o.At.UTC().Format(traceTime), text: fmt.Sprintf("was caused by %s (%s) of %s", oneLine(o.Type), o.ID, oneLine(o.Stream))})
	} else if h.Cause != "" && h.Hop == nil {
		all = append(all, note{text: "was caused by " + oneLine(h.Cause) + ", which is not among what was read"})
	}
	for _, d := range h.Deliveries {
		if d.State == story.TakenIn && d.Answered && d.Window == "" && d.Note == "" {
			continue // the answer tells as much
		}
		n := note{service: string(d.To), text: delivered(h, d)}
		if !d.At.IsZero() {
			n.at, n.after = d.At.UTC().Format(traceTime), "≤"+span(d.At.Sub(h.At)) // its consumer told later
		}
		all = append(all, n)
	}
	return all
}

// delivered tells what has become of an event in a flow.
func delivered(h *story.Happening, d *story.Delivery) string {
	switch d.State {
	case story.TakenIn:
		text := "took it in over " + d.Flow
		if d.Window != "" {
			text += ", with " + oneLine(d.Window)
		}
		if d.Note != "" {
			text += ", " + d.Note
		}
		return text
	case story.Parked:
		return fmt.Sprintf("! could not take it in over %s, and has parked it: %s (triangle flow parked show %s %s)", d.Flow, oneLine(d.Note), d.Flow, h.ID)
	case story.Skipped:
		return fmt.Sprintf("has left it out of %s for good, %s (triangle flow history %s)", d.Flow, d.Note, d.Flow)
	default:
		return waiting(d)
	}
}

func waiting(d *story.Delivery) string {
	switch {
	case d.Note == "":
		return "has not taken it in over " + d.Flow + ", as far as was read"
	case d.Due.IsZero():
		return fmt.Sprintf("… has not taken it in yet: it takes %s in %s", d.Flow, oneLine(d.Note))
	default:
		return fmt.Sprintf("… has not taken it in yet: it takes %s in %s, on %s", d.Flow, oneLine(d.Note), d.Due.UTC().Format("Mon 2006-01-02 15:04 MST"))
	}
}

func printTraceFoot(w io.Writer, told *story.Story) error {
	if told.Ended != "" {
		fmt.Fprintf(w, "\nReading ended at %s: what was recorded after that is not told.\n", told.Ended)
	}
	if told.Opaque > 0 {
		fmt.Fprintf(w, "\nOf %s that were read the metadata can't be: whether any of them answers something here is not known.\n", countOf(told.Opaque, "event"))
	}
	return nil
}
