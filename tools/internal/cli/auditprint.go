package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"

	"github.com/triangle-suite/triangle/services/control"
)

// auditState is an audit as --json shows it.
type auditState struct {
	OK         bool              `json:"ok"`
	Flow       string            `json:"flow"`
	From       placeState        `json:"from"`
	To         placeState        `json:"to"`
	Position   placeState        `json:"position"`
	Versions   []versionState    `json:"versions"`
	Epochs     []epochState      `json:"epochs"`
	Content    json.RawMessage   `json:"content"` // null: the flow has no tables
	Reactions  []json.RawMessage `json:"reactions"`
	Faults     []json.RawMessage `json:"faults"`
	Waiting    uint64            `json:"waiting"`
	Objections []string          `json:"objections"`
}

type placeState struct {
	Commit  uint64 `json:"commit"`
	Prepare uint64 `json:"prepare"`
}

type versionState struct {
	Version     uint64   `json:"version"`
	Types       []string `json:"types"`
	Produced    uint64   `json:"produced"`
	Delivered   uint64   `json:"delivered"`
	Filtered    uint64   `json:"filtered"`
	Parked      uint64   `json:"parked"`
	Missing     uint64   `json:"missing"`
	Twice       uint64   `json:"twice"`
	OutOfOrder  uint64   `json:"out_of_order"`
	Unexplained uint64   `json:"unexplained"`
}

type epochState struct {
	Epoch  uint64 `json:"epoch"`
	Events uint64 `json:"events"`
	Keys   int    `json:"keys"`
	Digest string `json:"intake_digest"`
	Proof  string `json:"proof"`
	AtEnd  string `json:"tables_at_end,omitempty"`
}

// proofs say what an epoch's intake was held against.
var proofs = map[control.Proof]string{
	control.ByRows: "rows", control.ByWord: "the consumer's word", control.ByNothing: "nothing",
}

// atEnds say how the tables at the end of an epoch compare with the consumer's
// word.
var atEnds = map[control.AtEnd]string{control.NotCompared: "not compared", control.Same: "same", control.Differs: "different"}

func atEnd(e control.AuditedEpoch) string {
	if e.Ended == nil {
		return ""
	}
	return atEnds[e.AtEnd]
}

func (s *session) printAudit(a *control.Audit) error {
	if s.commands.JSON {
		state, err := toAuditState(a)
		if err != nil {
			return err
		}
		return printJSON(s.Out, state)
	}
	fmt.Fprintf(s.Out, "%s, taken in by %s support: from %s to %s\n\n", a.Flow.Name, a.Flow.To, a.From, a.To)
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "VERSION\tPRODUCED\tDELIVERED\tFILTERED\tPARKED\tMISSING\tTWICE\tOUT OF ORDER\t")
	for _, l := range a.Lines {
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", l.Number, l.Produced, l.Delivered(), l.Filtered, l.Parked, l.Missing, l.Twice, l.OutOfOrder)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(s.Out)
	w = tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	for _, e := range a.Epochs {
		fmt.Fprintf(w, "epoch %d\t%s of %s, intake digest %s by the log, held against %s\n", e.Number,
			countOf(int(e.Events), "event"), countOf(e.Keys, "key"), e.Sum, proofs[e.Proof]) //nolint:gosec // no log has that many
		if at := atEnd(e); at != "" {
			fmt.Fprintf(w, "\ttables at its end: %d rows, against the consumer's word: %s\n", e.Ended.GetContentRows(), at)
		}
	}
	printContent(w, a)
	for _, r := range a.Reactions {
		fmt.Fprintf(w, "%s\t%s\n", r.GetHandler(), reactionLine(r))
	}
	if a.Waiting > 0 {
		fmt.Fprintf(w, "waiting\t%d more after it\n", a.Waiting)
	}
	for _, f := range a.Faults {
		fmt.Fprintf(w, "fault\t%s\n", faultLine(f))
	}
	if a.Closes() {
		fmt.Fprintln(w, "\nIt closes: produced = delivered + filtered + parked.")
	}
	return w.Flush()
}

func printContent(w *tabwriter.Writer, a *control.Audit) {
	c := a.Content
	if c == nil {
		fmt.Fprintln(w, "tables\tnone")
		return
	}
	rows, events := countOf(int(c.GetRows()), "row"), countOf(int(c.GetFolded()), "event") //nolint:gosec // no database has that many
	line := fmt.Sprintf("%s, as %s come to when folded again", rows, events)
	if c.GetDiffer() > 0 {
		line = fmt.Sprintf("%d not as they should be, of %s that %s come to when folded again", c.GetDiffer(), rows, events)
	}
	if c.GetPersonal() > 0 {
		line += fmt.Sprintf("; %d in personal columns alone, as when somebody is erased", c.GetPersonal())
	}
	fmt.Fprintf(w, "tables\t%s\n", line)
}

func reactionLine(r *flowv1.AuditedReaction) string {
	parts := []string{fmt.Sprintf("%s, %d answered", countOf(int(r.GetCauses()), "cause"), r.GetAnswered())} //nolint:gosec // no log has that many
	for _, more := range []struct {
		n    uint64
		what string
	}{
		{r.GetNone(), "with nothing to do"},
		{r.GetWaiting(), "late and waiting"},
		{r.GetMissing(), "NOT ANSWERED"},
		{r.GetTwice(), "ANSWERED TWICE"},
		{r.GetOutOfOrder(), "OUT OF ORDER"},
	} {
		if more.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", more.n, more.what))
		}
	}
	return strings.Join(parts, ", ")
}

var faultKinds = map[flowv1.AuditFaultKind]string{
	flowv1.AuditFaultKind_AUDIT_FAULT_KIND_MISSING:               "missing",
	flowv1.AuditFaultKind_AUDIT_FAULT_KIND_TWICE:                 "twice",
	flowv1.AuditFaultKind_AUDIT_FAULT_KIND_OUT_OF_ORDER:          "out of order",
	flowv1.AuditFaultKind_AUDIT_FAULT_KIND_UNEXPLAINED:           "unexplained",
	flowv1.AuditFaultKind_AUDIT_FAULT_KIND_PARKED_UNKNOWN:        "parked, and in no log",
	flowv1.AuditFaultKind_AUDIT_FAULT_KIND_ROW:                   "row",
	flowv1.AuditFaultKind_AUDIT_FAULT_KIND_UNANSWERED:            "not answered",
	flowv1.AuditFaultKind_AUDIT_FAULT_KIND_ANSWERED_TWICE:        "answered twice",
	flowv1.AuditFaultKind_AUDIT_FAULT_KIND_ANSWERED_OUT_OF_ORDER: "answered out of order",
}

func faultLine(f *flowv1.AuditFault) string {
	kind := faultKinds[f.GetKind()]
	if f.GetEventId() == "" {
		return oneLine(fmt.Sprintf("%s: %s %s", kind, f.GetKey(), f.GetDetail()))
	}
	line := fmt.Sprintf("%s: %s %s", kind, f.GetDetail(), f.GetEventId())
	if p := f.GetPosition(); p != nil {
		line += fmt.Sprintf(" at C:%d/P:%d", p.GetCommit(), p.GetPrepare())
	}
	if f.GetKey() != "" {
		line += ", key " + f.GetKey()
	}
	if f.GetEvents() > 1 {
		line += fmt.Sprintf(", and the %d after it in its key", f.GetEvents()-1)
	}
	return oneLine(line)
}

func toAuditState(a *control.Audit) (auditState, error) {
	state := auditState{
		OK: a.Closes(), Flow: a.Flow.Name, From: placeState(a.From), To: placeState(a.To), Position: placeState(a.Position),
		Waiting: a.Waiting, Objections: append([]string{}, a.Objections...),
	}
	for _, l := range a.Lines {
		state.Versions = append(state.Versions, versionState{
			l.Number, l.Types, l.Produced, l.Delivered(), l.Filtered, l.Parked, l.Missing, l.Twice, l.OutOfOrder, l.Unexplained,
		})
	}
	for _, e := range a.Epochs {
		state.Epochs = append(state.Epochs, epochState{e.Number, e.Events, e.Keys, e.Sum, proofs[e.Proof], atEnd(e)})
	}
	var err error
	if a.Content != nil {
		if state.Content, err = rawJSON(a.Content); err != nil {
			return state, err
		}
	}
	if state.Reactions, err = rawJSONs(a.Reactions); err != nil {
		return state, err
	}
	state.Faults, err = rawJSONs(a.Faults)
	return state, err
}

func rawJSON(m proto.Message) (json.RawMessage, error) {
	return protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(m)
}

func rawJSONs[M proto.Message](all []M) ([]json.RawMessage, error) {
	raw := make([]json.RawMessage, 0, len(all))
	for _, m := range all {
		one, err := rawJSON(m)
		if err != nil {
			return nil, err
		}
		raw = append(raw, one)
	}
	return raw, nil
}
