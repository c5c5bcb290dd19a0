package control

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/flow/audit"
)

// Line counts the events of one version of a flow's types. What is produced,
// filtered and parked is counted here, from the log.
type Line = audit.Line

// Audit is what came of an audit.
type Audit struct {
	Flow     flows.Flow
	From, To Position
	// Position is how far the flow had come when its tables were read.
	Position Position
	Lines    []Line
	Epochs   []AuditedEpoch
	// Content is nil for a flow that has no tables.
	Content   *flowv1.AuditedContent
	Reactions []*flowv1.AuditedReaction
	// Faults are the first of each kind.
	Faults []*flowv1.AuditFault
	// Waiting is how many events of the flow come after the position.
	Waiting uint64
	// Objections are what does not fit: why the sum does not close.
	Objections []string
	// Contradictions is how many of them no event that is missing, twice or out of
	// order explains: what the consumer says of itself is not so.
	Contradictions int
	// Intake and Tables tell how the chains, and the rows, compare with the log.
	Intake, Tables Comparison
}

// Closes tells whether everything is accounted for.
func (a *Audit) Closes() bool { return len(a.Objections) == 0 }

// AuditedEpoch is an epoch that the range touches.
type AuditedEpoch struct {
	Number uint64
	// Events and Keys are how many the log has, and Sum what the digest of the
	// intake is by the log.
	Events uint64
	Keys   int
	Sum    string
	// Proof is what it was held against.
	Proof Proof
	// Ended is what the tables come to at its end, and what is to be said of it: the
	// tables of then are no more, and only the consumer's word stands for them. It
	// is nil for an epoch that goes on, and for a flow that has no tables.
	Ended *flowv1.AuditedEnd
	// AtEnd tells how that compares with the consumer's word.
	AtEnd AtEnd
}

// AtEnd is how the tables at the end of an epoch compare.
type AtEnd int

// The ways to compare.
const (
	// NotCompared: nothing was said of the tables as they were, they were of another
	// version, or events were parked then, which may have been taken in since.
	NotCompared AtEnd = iota
	// Same: the events make the tables that the consumer told of.
	Same
	// Differs: they do not.
	Differs
)

// Comparison tells how two digests compare.
type Comparison int

// The ways to compare.
const (
	// Unknown: one of them is not known.
	Unknown Comparison = iota
	// Equal: they are the same.
	Equal
	// Unequal: they differ.
	Unequal
)

// and is how all compare, of which some compare as c.
func (c Comparison) and(other Comparison) Comparison { return max(c, other) }

// Proof is what an epoch's intake was held against.
type Proof int

// The proofs.
const (
	// ByRows: the chains that were read from the consumer's rows.
	ByRows Proof = iota
	// ByWord: the consumer's own word when the epoch closed; its chains are kept
	// no more.
	ByWord
	// ByNothing: there is neither.
	ByNothing
)

// holdAgainstLog counts in the log what the consumer's tables should show, and
// notes whatever does not fit.
func (f *Flows) holdAgainstLog(ctx context.Context, source audit.Source, asked *flowv1.AuditRequested, completed *flowv1.AuditCompleted) (*Audit, error) {
	steering, err := source.Steering(ctx)
	if err != nil {
		return nil, err
	}
	source.Versions = steering.Versions
	at := audit.Place(completed.GetPosition())
	scope, err := steering.Scope(asked, at)
	if err != nil {
		return nil, err
	}
	b := &balance{
		Audit: &Audit{
			Flow: source.Flow, From: scope.From, To: scope.To, Position: at,
			Content: completed.GetContent(), Reactions: completed.GetReactions(), Faults: completed.GetFaults(),
		},
		completed: completed, steering: steering,
		ledger: audit.NewLedger(scope.Range, steering.Versions, scope.Epochs, asideOf(steering, completed)),
	}
	if b.windows, err = f.windowsOf(ctx, source.Flow.Name, scope, at); err != nil {
		return nil, err
	}
	if err := b.read(ctx, source, scope); err != nil {
		return nil, err
	}
	b.compareVersions()
	b.compareEpochs()
	b.compareWindows()
	b.compareContent()
	b.compareReactions()
	return b.Audit, nil
}

// balance is an audit that is being drawn up.
type balance struct {
	*Audit
	completed *flowv1.AuditCompleted
	steering  *audit.Steering
	ledger    *audit.Ledger
	answers   *audit.Answers
	windows   []*window
}

func asideOf(steering *audit.Steering, completed *flowv1.AuditCompleted) map[uuid.UUID]audit.Aside {
	aside := map[uuid.UUID]audit.Aside{}
	for id := range steering.Skipped {
		aside[id] = audit.Skipped
	}
	for _, text := range completed.GetParkedIds() {
		if id, err := uuid.Parse(text); err == nil {
			aside[id] = audit.Parked
		}
	}
	return aside
}

// read reads the log. Which events a reaction takes only its service knows; so
// here each may be a cause, and what is counted is the answers.
func (b *balance) read(ctx context.Context, source audit.Source, scope audit.Scope) error {
	head, err := source.Head(ctx)
	if err != nil {
		return err
	}
	var handlers []string
	for _, r := range b.Reactions {
		handlers = append(handlers, r.GetHandler())
	}
	b.answers = audit.NewAnswers(handlers...)
	return source.Each(ctx, audit.Range{From: scope.Begins(), To: head}, func(seen audit.Seen) error {
		if seen.Own {
			b.countInWindow(seen.As)
		}
		switch {
		case !seen.Own:
		case b.Position.Compare(seen.As.Position) < 0:
			b.Waiting++
		case b.ledger.Add(seen.As):
			for _, h := range handlers {
				b.answers.Cause(h, audit.Cause{ID: seen.ID, Key: seen.As.Key, Position: seen.As.Position})
			}
		}
		b.answers.Event(seen.Event.Event, seen.Origin)
		return nil
	})
}

func (b *balance) object(format string, args ...any) {
	b.Objections = append(b.Objections, fmt.Sprintf(format, args...))
}

// contradict objects to what no event that is missing, twice or out of order
// explains.
func (b *balance) contradict(format string, args ...any) {
	b.Contradictions++
	b.object(format, args...)
}

// compareVersions takes from the consumer what is wrong with events, which it
// alone can find out, and holds its other figures against the log's.
func (b *balance) compareVersions() {
	b.Lines = b.ledger.Lines
	if len(b.completed.GetVersions()) != len(b.Lines) {
		b.contradict("the consumer counts %d versions of the flow's types, the log has %d", len(b.completed.GetVersions()), len(b.Lines))
		return
	}
	for i, told := range b.completed.GetVersions() {
		line := &b.Lines[i]
		if told.GetProduced() != line.Produced {
			b.contradict("version %d: the consumer finds %d events in the range, the log has %d", line.Number, told.GetProduced(), line.Produced)
		}
		if told.GetMissing() == 0 && (told.GetFiltered() != line.Filtered || told.GetParked() != line.Parked) {
			b.contradict("version %d: the consumer finds %d events filtered and %d parked, the log has %d and %d", line.Number,
				told.GetFiltered(), told.GetParked(), line.Filtered, line.Parked)
		}
		line.Missing, line.Twice, line.OutOfOrder, line.Unexplained = told.GetMissing(), told.GetTwice(), told.GetOutOfOrder(), told.GetUnexplained()
		line.Filtered, line.Parked = told.GetFiltered(), told.GetParked() // without those that are missing
		if line.Unexplained > 0 {
			b.Contradictions++
		}
		if !line.Closes() {
			b.object("version %d: %d missing, %d twice, %d out of order, %d unexplained", line.Number, line.Missing, line.Twice, line.OutOfOrder, line.Unexplained)
		}
	}
	for _, id := range b.ledger.Unknown() {
		b.contradict("event %s is parked, and the log does not have it", id)
	}
}

// compareEpochs holds the sums of chains against those that the log makes: of the
// epochs whose chains are kept the sum of the rows, else what was said when they
// closed.
func (b *balance) compareEpochs() {
	for _, a := range b.ledger.Accounts() {
		e := AuditedEpoch{Number: a.Number, Events: a.Events, Keys: a.Keys(), Sum: a.Sum().String(), Proof: ByNothing}
		closed := b.steering.Closed[a.Number]
		kept := slices.IndexFunc(b.completed.GetEpochs(), func(k *flowv1.AuditedEpoch) bool { return k.GetEpoch() == a.Number })
		switch {
		case kept >= 0:
			e.Proof = ByRows
			b.Intake = b.Intake.and(Equal)
			if told := b.completed.GetEpochs()[kept]; told.GetChainSum() != e.Sum || told.GetKeys() != uint64(e.Keys) {
				b.Intake = Unequal
				b.object("epoch %d: the chains of %d keys add up to %s in the rows, those of %d keys to %s by the log", a.Number, told.GetKeys(), told.GetChainSum(), e.Keys, e.Sum)
			}
		case closed != nil:
			e.Proof = ByWord
			b.Intake = b.Intake.and(Equal)
			if closed.GetIntakeDigest() != e.Sum || closed.GetCount() != e.Events {
				b.Intake = Unequal
				b.contradict("epoch %d closed with %d events and intake digest %s, the log has %d and %s", a.Number, closed.GetCount(), closed.GetIntakeDigest(), e.Events, e.Sum)
			}
		default:
			b.contradict("epoch %d: no chains are kept, and nothing was said when it closed", a.Number)
		}
		b.compareEnd(&e, closed)
		b.Epochs = append(b.Epochs, e)
	}
}

// compareEnd holds what the events make of the tables at the end of an epoch
// against what the consumer said of them then.
func (b *balance) compareEnd(e *AuditedEpoch, closed *flowv1.EpochClosed) {
	i := slices.IndexFunc(b.completed.GetEnds(), func(end *flowv1.AuditedEnd) bool { return end.GetEpoch() == e.Number })
	if i < 0 {
		return
	}
	e.Ended = b.completed.GetEnds()[i]
	switch {
	case closed.GetContentDigest() == "" || closed.GetParked() > 0 || closed.GetContentVersion() != e.Ended.GetContentVersion():
	case closed.GetContentDigest() == e.Ended.GetContentDigest() && closed.GetContentRows() == e.Ended.GetContentRows():
		e.AtEnd = Same
	default:
		e.AtEnd = Differs
		b.contradict("epoch %d closed with %d rows and content digest %s, its events make %d rows and %s", e.Number,
			closed.GetContentRows(), closed.GetContentDigest(), e.Ended.GetContentRows(), e.Ended.GetContentDigest())
	}
}

func (b *balance) compareContent() {
	c := b.Content
	if c == nil {
		return
	}
	b.Tables = Equal
	if c.GetDiffer() > 0 || c.GetDigest() != c.GetDigestHere() {
		b.Tables = Unequal
	}
	switch {
	case c.GetDiffer() > 0:
		b.object("rows that are not what the events make of them: %d, of %d", c.GetDiffer(), c.GetRows())
	case c.GetDigest() != c.GetDigestHere():
		b.object("the tables have digest %s, and %s when the events are folded again", c.GetDigestHere(), c.GetDigest())
	}
}

func (b *balance) compareReactions() {
	for _, r := range b.Reactions {
		found := b.answers.Of(r.GetHandler())
		if !agree(r, found) {
			b.contradict("%s: the consumer finds the answers to %d causes and nothing to do about %d, the log has %d and %d",
				r.GetHandler(), r.GetAnswered(), r.GetNone(), found.Answered, found.None)
		}
		if sum := r.GetAnswered() + r.GetNone() + r.GetWaiting() + r.GetMissing(); sum != r.GetCauses() {
			b.contradict("%s: %d causes, %d accounted for", r.GetHandler(), r.GetCauses(), sum)
		}
		twice, late := max(uint64(len(found.Twice)), r.GetTwice()), max(uint64(len(found.OutOfOrder)), r.GetOutOfOrder())
		if r.GetMissing()+twice+late > 0 {
			b.object("%s: of its causes %d not answered, %d answered twice, %d out of order", r.GetHandler(), r.GetMissing(), twice, late)
		}
	}
}

// agree tells whether the log has the answers that a consumer has found, and those
// causes answered since that waited then, but no others.
func agree(told *flowv1.AuditedReaction, found *audit.Reaction) bool {
	if found.Answered < told.GetAnswered() || found.None < told.GetNone() {
		return false
	}
	since := found.Answered - told.GetAnswered() + found.None - told.GetNone()
	return since <= told.GetWaiting() && (since > 0 || found.Sum.String() == told.GetAnsweredSum())
}
