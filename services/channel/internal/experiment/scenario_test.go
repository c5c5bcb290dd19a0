package experiment

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/contact"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/scenario"
)

var at = time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)

func TestScenarioCH5Experiments(t *testing.T) {
	for name, database := range pgtest.Databases() {
		t.Run(name, func(t *testing.T) {
			scenario.Run(t, "testdata", func(t *testing.T) map[string]scenario.Command {
				return newTelling(t, database(t)).commands()
			})
		})
	}
}

// telling is a scenario: experiments and contacts, and the tables of what they
// came to.
type telling struct {
	t           *testing.T
	db          *projection.DB
	hash        func(kind, value string) string
	experiments map[string]*State
	contacts    map[string]*contact.State
}

func newTelling(t *testing.T, where string) *telling {
	t.Helper()
	db, err := projection.Open(t.Context(), where, "channel", projection.Alone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Create(t.Context(), Schema); err != nil {
		t.Fatal(err)
	}
	return &telling{t: t, db: db, hash: keyring.Memory().Hash, experiments: map[string]*State{}, contacts: map[string]*contact.State{}}
}

func (s *telling) commands() map[string]scenario.Command {
	return map[string]scenario.Command{
		"define": s.define,
		"end":    func(d scenario.Words) string { return s.onExperiment(d, End{At: at}.Decide) },
		"start": func(d scenario.Words) string {
			return s.onContact(d, contact.Start{
				ID: d.Get("contact"), VisitorID: d.Get("visitor"), CustomerID: d.Get("customer"), At: at,
				Channel: journeyv1.Channel(s.word(journeyv1.Channel(0), d.Get("channel"))),
			}.Decide)
		},
		"identify": func(d scenario.Words) string {
			return s.onContact(d, contact.Identify{CustomerID: d.Get("customer")}.Decide)
		},
		"show": func(d scenario.Words) string {
			id := d.Get("experiment")
			return s.onContact(d, contact.Show{ExperimentID: id, Draw: s.experiment(id).Draw(s.hash)}.Decide)
		},
		"present": func(d scenario.Words) string {
			return s.onContact(d, contact.Present{PropositionID: d.Get("proposition")}.Decide)
		},
		"answer": func(d scenario.Words) string {
			answer := journeyv1.Answer(s.word(journeyv1.Answer(0), d.Get("answer")))
			return s.onContact(d, contact.Answer{PropositionID: d.Get("proposition"), Answer: answer}.Decide)
		},
		"banner": func(d scenario.Words) string {
			return s.onContact(d, contact.ClickBanner{PropositionID: d.Get("proposition")}.Decide)
		},
		"submit": func(d scenario.Words) string {
			kind := journeyv1.RequestKind(s.word(journeyv1.RequestKind(0), d.Get("kind")))
			return s.onContact(d, contact.Submit{RequestID: "r-" + d.Get("contact"), Kind: kind, Text: "?", At: at}.Decide)
		},
		"finish": func(d scenario.Words) string {
			return s.onContact(d, contact.End{Outcome: channelv1.ContactOutcome_CONTACT_OUTCOME_HANDLED, At: at}.Decide)
		},
		"visitors": s.visitors,
		"result":   s.result,
	}
}

// word is the value of an enum that a word stands for; 0 of no word.
func (s *telling) word(enum protoreflect.Enum, word string) protoreflect.EnumNumber {
	if word == "" {
		return 0
	}
	return scenario.Number(s.t, enum.Descriptor(), word)
}

func (s *telling) experiment(id string) *State {
	if s.experiments[id] == nil {
		state := Decider.Initial()
		s.experiments[id] = &state
	}
	return s.experiments[id]
}

func (s *telling) contact(id string) *contact.State {
	if s.contacts[id] == nil {
		state := contact.Decider.Initial()
		s.contacts[id] = &state
	}
	return s.contacts[id]
}

func (s *telling) onExperiment(d scenario.Words, decide func(State) ([]proto.Message, error)) string {
	return scenario.Decide(s.experiment(d.Get("experiment")), Decider, func(state State) ([]proto.Message, error) {
		return s.project(decide(state))
	})
}

func (s *telling) onContact(d scenario.Words, decide func(contact.State) ([]proto.Message, error)) string {
	return scenario.Decide(s.contact(d.Get("contact")), contact.Decider, func(state contact.State) ([]proto.Message, error) {
		return s.project(decide(state))
	})
}

// project writes what was decided into the tables.
func (s *telling) project(events []proto.Message, err error) ([]proto.Message, error) {
	if err != nil {
		return nil, err
	}
	return events, s.db.Update(s.t.Context(), func(tx *projection.Tx) error {
		for _, e := range events {
			if err := Project(s.t.Context(), tx, codec.Event{Message: e}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *telling) define(d scenario.Words) string {
	e := &channelv1.Experiment{
		ExperimentId: d.Get("experiment"), ExpectedRate: s.decimal(d, "expected"), ErrorRate: s.decimal(d, "error"),
		PlannedVisitors: uint64(d.Number(s.t, "planned")),
		Outcome: &channelv1.Outcome{
			Kind:      channelv1.OutcomeKind(s.word(channelv1.OutcomeKind(0), d.Get("outcome"))),
			EventKind: d.Get("event"), PropositionId: d.Get("proposition"),
			RequestKind: journeyv1.RequestKind(s.word(journeyv1.RequestKind(0), d.Get("request"))),
		},
	}
	for _, v := range d.List("variants") {
		name, weight, _ := strings.Cut(v, ":")
		n, err := strconv.ParseUint(weight, 10, 32)
		if err != nil {
			d.Fatalf(s.t, "the weight of %s: %v", name, err)
		}
		e.Variants = append(e.Variants, &channelv1.Variant{VariantId: name, Weight: uint32(n)})
	}
	for _, c := range d.List("channels") {
		e.Channels = append(e.Channels, journeyv1.Channel(s.word(journeyv1.Channel(0), c)))
	}
	var checks call.Checks
	e = checked(&checks, e)
	if err := checks.Err(); err != nil {
		return scenario.Tell(nil, err)
	}
	return s.onExperiment(d, Define{Experiment: e, At: at}.Decide)
}

func (s *telling) decimal(d scenario.Words, name string) (x float64) {
	if text := d.Get(name); text != "" {
		var err error
		if x, err = strconv.ParseFloat(text, 64); err != nil {
			d.Fatalf(s.t, "%s: %v", name, err)
		}
	}
	return x
}

// visitors has many come to the website, each in a contact of their own, and tells
// how many see which variant. Of those who see it, every so-many-th clicks the
// banner: every=old:10,new:4 is every tenth of those who see the old one.
func (s *telling) visitors(d scenario.Words) string {
	every := map[string]int{}
	for _, v := range d.List("every") {
		name, n, _ := strings.Cut(v, ":")
		every[name], _ = strconv.Atoi(n)
	}
	seen := map[string]int{}
	for i := range d.Number(s.t, "number") {
		c := contact.Decider.Initial()
		do := func(decide func(contact.State) ([]proto.Message, error)) {
			if told := scenario.Decide(&c, contact.Decider, func(state contact.State) ([]proto.Message, error) {
				return s.project(decide(state))
			}); strings.HasPrefix(told, "refused") || strings.HasPrefix(told, "failed") {
				d.Fatalf(s.t, "visitor %d: %s", i, told)
			}
		}
		id := d.Get("experiment")
		do(contact.Start{ID: fmt.Sprint("v", i), VisitorID: fmt.Sprint("visitor-", i), Channel: journeyv1.Channel_CHANNEL_WEBSITE, At: at}.Decide)
		do(contact.Show{ExperimentID: id, Draw: s.experiment(id).Draw(s.hash)}.Decide)
		variant, _ := c.Shown(id)
		seen[variant]++
		if n := every[variant]; n > 0 && seen[variant]%n == 0 {
			do(contact.ClickBanner{PropositionID: "p"}.Decide)
		}
		do(contact.End{Outcome: channelv1.ContactOutcome_CONTACT_OUTCOME_HANDLED, At: at}.Decide)
	}
	var told strings.Builder
	for _, v := range s.experiment(d.Get("experiment")).Defined.GetVariants() {
		fmt.Fprintf(&told, "%s %d\n", v.GetVariantId(), seen[v.GetVariantId()])
	}
	return told.String()
}

func (s *telling) result(d scenario.Words) string {
	results, err := read(s.t.Context(), s.db, d.Get("experiment"))
	if err != nil {
		s.t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range results {
		fmt.Fprintf(&b, "%s %s\n", r.GetExperiment().GetExperimentId(), scenario.Word(r.GetState().Descriptor(), r.GetState().Number()))
		for _, v := range r.GetVariants() {
			fmt.Fprintf(&b, "  %s exposed=%d finished=%d outcomes=%d rate=%.3f", v.GetVariantId(), v.GetExposed(), v.GetFinished(), v.GetOutcomes(), v.GetRate())
			if diff := v.GetDifference(); diff != nil {
				fmt.Fprintf(&b, " difference=%+.3f from %+.3f to %+.3f: %s", diff.GetEstimate(), diff.GetLower(), diff.GetUpper(),
					scenario.Word(diff.GetVerdict().Descriptor(), diff.GetVerdict().Number()))
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}
