package proposition

import (
	"fmt"
	"strings"
	"testing"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/scenario"
)

// The scenarios say what is defined, and which events come of it. What follows
// "define" is the call's proposition, one field a line.
func TestScenarios(t *testing.T) {
	scenario.Run(t, "testdata", func(t *testing.T) map[string]scenario.Command {
		states := map[string]State{}
		return map[string]scenario.Command{"define": func(d scenario.Words) string {
			p, err := defined(parse(t, d))
			if err != nil {
				return scenario.Tell(nil, err)
			}
			id := p.GetPropositionId()
			events := Define(states[id], p)
			for _, event := range events {
				states[id] = Evolve(states[id], event)
			}
			return scenario.Tell(events, nil)
		}}
	})
}

func parse(t *testing.T, d scenario.Words) *marketingv1.Proposition {
	t.Helper()
	p := &marketingv1.Proposition{}
	for line := range strings.Lines(d.Input) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		var err error
		switch name {
		case "id":
			p.PropositionId = value
		case "name":
			p.Name = value
		case "purpose":
			p.Purpose = marketingv1.Purpose(marketingv1.Purpose_value["PURPOSE_"+value])
		case "topic":
			p.Topic = value
		case "value":
			_, err = fmt.Sscan(value, &p.ValueCents)
		case "lever":
			_, err = fmt.Sscan(value, &p.Lever)
		case "propensity":
			_, err = fmt.Sscan(value, &p.BasePropensity)
		default:
			p.Contents = append(p.Contents, &marketingv1.Content{
				Channel: journeyv1.Channel(journeyv1.Channel_value["CHANNEL_"+name]), Text: value,
			})
		}
		if err != nil {
			d.Fatalf(t, "%s: %v", line, err)
		}
	}
	return p
}

func TestContentIsPerChannel(t *testing.T) {
	p := &marketingv1.PropositionDefined{Contents: []*marketingv1.Content{
		{Channel: journeyv1.Channel_CHANNEL_EMAIL, Text: "Dear customer"},
		{Text: "of no channel"},
	}}
	if text, ok := ContentFor(p, journeyv1.Channel_CHANNEL_EMAIL); !ok || text != "Dear customer" {
		t.Errorf("content for e-mail is %q, %v", text, ok)
	}
	for _, channel := range []journeyv1.Channel{journeyv1.Channel_CHANNEL_PRINT, journeyv1.Channel_CHANNEL_UNSPECIFIED} {
		if text, ok := ContentFor(p, channel); ok {
			t.Errorf("content for %s is %q, want none", channel, text)
		}
	}
}

func TestTextsHaveLimits(t *testing.T) {
	p := &marketingv1.Proposition{
		PropositionId: strings.Repeat("a", 201), Name: strings.Repeat("é", 201), Topic: strings.Repeat("é", 200),
		Purpose: marketingv1.Purpose_PURPOSE_SALES,
		Contents: []*marketingv1.Content{
			{Channel: journeyv1.Channel_CHANNEL_EMAIL, Text: strings.Repeat("é", 4000)},
			{Channel: journeyv1.Channel_CHANNEL_PRINT, Text: strings.Repeat("é", 4001)},
			{Channel: 99, Text: "a channel of tomorrow"},
		},
	}
	_, err := defined(p)
	f, _ := fault.Of(err)
	var fields []string
	for _, v := range f.Violations {
		fields = append(fields, v.Field)
	}
	want := "proposition.proposition_id proposition.name proposition.contents[1].text proposition.contents[2].channel"
	if got := strings.Join(fields, " "); got != want {
		t.Errorf("refused for %s\nwant        %s", got, want)
	}
}
