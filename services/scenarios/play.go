package scenarios

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/triangle-suite/triangle/services/await"
	"github.com/triangle-suite/triangle/services/client"
	"github.com/triangle-suite/triangle/services/internal/scenario"
)

// play is a text that is being played.
type play struct {
	World

	text     Text
	names    *names
	people   map[string]*person
	requests map[string]string // ids by name
	reasons  map[string]string // why they were pending
	variants map[string]string // what somebody saw last
	leads    map[string]string // ids by the name of the customer
	hour     time.Time         // the present one when the play began
	step     int
	calls    int
}

// Play plays a text on a world, until ctx ends at the latest.
func Play(ctx context.Context, t testing.TB, text Text, world World) {
	p := &play{
		World: world, text: text, hour: time.Now().UTC().Truncate(time.Hour), names: newNames(text.Name()), people: map[string]*person{}, requests: map[string]string{}, reasons: map[string]string{}, variants: map[string]string{}, leads: map[string]string{},
	}
	datadriven.RunTestAny(t, text.Path, func(t testing.TB, d *datadriven.TestData) string {
		p.step++
		p.calls = 0
		shown, err := p.perform(ctx, d)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		return shown
	})
}

// deed is what a line of a text does. It returns what comes of it.
type deed func(*play, context.Context, words) (string, error)

// words are a line's own.
type words struct {
	scenario.Words

	said map[string]string // what stands for the words in capitals
}

// command is a line of a text. Words in capitals stand for any word.
type command struct {
	form string
	do   deed
	// again tells that it only looks, and looks again until it is as expected.
	again bool
}

func commands() []command {
	return slices.Concat(contactCommands, requestCommands, offerCommands, campaignCommands, callCommands, customerCommands, experimentCommands, flowCommands)
}

func (p *play) perform(ctx context.Context, d *datadriven.TestData) (string, error) {
	line := sentence(d)
	for _, c := range commands() {
		if said, ok := matches(c.form, line); ok {
			given := *d
			given.CmdArgs = slices.DeleteFunc(slices.Clone(d.CmdArgs), isBare)
			w := words{scenario.Words{TestData: &given}, said}
			if c.again {
				return p.look(ctx, c, w)
			}
			return p.told(c.do(p, ctx, w))
		}
	}
	return "", fmt.Errorf("there is no command %q", strings.Join(line, " "))
}

// isBare tells a word of the sentence from name=value.
func isBare(arg datadriven.CmdArg) bool { return arg.Vals == nil }

// sentence is a line without what is given as name=value.
func sentence(d *datadriven.TestData) []string {
	line := []string{d.Cmd}
	for _, arg := range d.CmdArgs {
		if isBare(arg) {
			line = append(line, arg.Key)
		}
	}
	return line
}

func matches(form string, line []string) (map[string]string, bool) {
	want := strings.Fields(form)
	if len(want) != len(line) {
		return nil, false
	}
	said := map[string]string{}
	for i, word := range want {
		switch {
		case word == strings.ToUpper(word):
			said[word] = line[i]
		case word != line[i]:
			return nil, false
		}
	}
	return said, true
}

// told is what a text shows of what came of a line.
func (p *play) told(shown string, err error) (string, error) {
	if refused, ok := refusal(err); ok {
		shown, err = refused, nil
	}
	return p.names.plain(shown), err
}

// look looks until it sees what is expected, and tells what it has seen last.
func (p *play) look(ctx context.Context, c command, w words) (last string, err error) {
	if IsRewriting() {
		return p.lookForLong(ctx, c, w)
	}
	err = await.Until(ctx, p.Patience, "it is as the text has it", func(ctx context.Context) error {
		shown, err := c.do(p, ctx, w)
		if err != nil {
			return err
		}
		shown = p.names.plain(shown)
		if last = shown; strings.TrimSpace(last) != strings.TrimSpace(w.Expected) {
			return await.NotYetf("%s", last)
		}
		return nil
	})
	if errors.Is(err, context.DeadlineExceeded) && last != "" {
		err = nil // the difference says it all
	}
	return last, err
}

// lookForLong looks until nothing new has come for a while.
func (p *play) lookForLong(ctx context.Context, c command, w words) (last string, err error) {
	var since time.Time
	err = await.Until(ctx, p.Patience, "it stays as it is", func(ctx context.Context) error {
		shown, err := c.do(p, ctx, w)
		if err != nil {
			return err
		}
		shown = p.names.plain(shown)
		if shown != last || since.IsZero() {
			last, since = shown, time.Now()
		}
		if time.Since(since) < p.Settled {
			return await.NotYetf("%s", last)
		}
		return nil
	})
	return last, err
}

// IsRewriting tells whether texts are written anew: go test -rewrite.
func IsRewriting() bool {
	f := flag.Lookup("rewrite")
	return f != nil && f.Value.String() == "true"
}

// keyed gives a call its idempotency key, which derives from the text and from how
// far it is.
func (p *play) keyed(ctx context.Context) context.Context {
	p.calls++
	return client.WithKey(ctx, fmt.Sprintf("%s/%d/%d", p.text.Name(), p.step, p.calls))
}

// until waits for something that a text does not show.
func (p *play) until(ctx context.Context, what string, check func(context.Context) error) error {
	return await.Until(ctx, p.Patience, what, check)
}
