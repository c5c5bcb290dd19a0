package eventlog_test

import (
	"errors"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

func TestAFilterChoosesBy(t *testing.T) {
	const (
		eventType = "channel.ContactStarted"
		stream    = "contact-7"
	)
	cases := map[string]struct {
		filter eventlog.Filter
		want   bool
	}{
		"nothing, so all but system events":     {eventlog.Filter{}, true},
		"a type's prefix":                       {eventlog.Filter{TypePrefixes: []string{"sales.", "channel."}}, true},
		"a type's prefix that another one has":  {eventlog.Filter{TypePrefixes: []string{"sales."}}, false},
		"an expression anywhere in the type":    {eventlog.Filter{TypeRegex: `Started$`}, true},
		"an expression that the type lacks":     {eventlog.Filter{TypeRegex: `^Started`}, false},
		"a stream's prefix":                     {eventlog.Filter{StreamPrefixes: []string{"contact-"}}, true},
		"a stream's prefix that another has":    {eventlog.Filter{StreamPrefixes: []string{"lead-"}}, false},
		"an expression anywhere in the stream":  {eventlog.Filter{StreamRegex: `-\d`}, true},
		"an expression that the stream lacks":   {eventlog.Filter{StreamRegex: `^\d`}, false},
		"the type's prefix, not the stream's":   {eventlog.Filter{TypePrefixes: []string{"contact-"}}, false},
		"the stream's prefix, not the type's":   {eventlog.Filter{StreamPrefixes: []string{"channel."}}, false},
		"a prefix that is longer than the type": {eventlog.Filter{TypePrefixes: []string{eventType + "Again"}}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			match, err := tc.filter.Matcher()
			if err != nil {
				t.Fatal(err)
			}
			if got := match(eventType, stream); got != tc.want {
				t.Errorf("matches %s of %s: %v, want %v", eventType, stream, got, tc.want)
			}
		})
	}
}

func TestTheZeroFilterLeavesSystemEventsOut(t *testing.T) {
	match, err := eventlog.Filter{}.Matcher()
	if err != nil {
		t.Fatal(err)
	}
	if match("$metadata", "$$contact-7") {
		t.Error("the zero filter matches $metadata")
	}
}

func TestAFilterThatCannotBeMeantIsRefused(t *testing.T) {
	for name, filter := range map[string]eventlog.Filter{
		"types and streams":              {TypePrefixes: []string{"a"}, StreamPrefixes: []string{"b"}},
		"prefixes and an expression":     {TypePrefixes: []string{"a"}, TypeRegex: "b"},
		"a type expression is broken":    {TypeRegex: "("},
		"a stream expression is broken":  {StreamRegex: "["},
		"every field of it has been set": {[]string{"a"}, "b", []string{"c"}, "d"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := filter.Matcher(); !errors.Is(err, eventlog.ErrFilter) {
				t.Errorf("error is %v, want ErrFilter", err)
			}
		})
	}
}
