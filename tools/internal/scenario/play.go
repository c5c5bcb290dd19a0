package scenario

import (
	"context"
	"fmt"
	"time"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"

	"github.com/triangle-suite/triangle/services/control"

	"github.com/triangle-suite/triangle/services/client"
	"github.com/triangle-suite/triangle/tools/internal/suite"
)

// Who appears in the story.
const (
	Channel   = "channel"
	Sales     = "sales"
	Marketing = "marketing"
	Everyone  = "all"
)

// defaultPatience bounds one wait. It is generous, as a service may be killed
// and started again meanwhile.
const defaultPatience = 2 * time.Minute

// wait is what the channel is allowed for marketing's decision. A real channel
// takes far less; here the machine does everything else too.
const wait = 2 * time.Second

// Config says what the scenario is played on.
type Config struct {
	Services *client.Services
	Flows    *control.Flows
	Layout   suite.Layout
	// Store is the event store's connection string: the last step reads what is
	// really in there.
	Store string
	// Run is the number of this run on the data.
	Run int
	// Sample tells whether the sample is imported; without it the steps that
	// rest on it are left out.
	Sample bool
	// Patience bounds one wait; 0: two minutes.
	Patience time.Duration
	// Tell is given each step when it begins, and again when it has ended.
	Tell func(Step)
	// Progress is told of long work: it is called for each of total pieces.
	Progress func(what string, total int) (one, end func())
}

// Knowledge is what a party knew at a point of the story.
type Knowledge struct {
	Party string `json:"party"`
	Text  string `json:"text"`
}

// Step is one step of the story, as it went.
type Step struct {
	Number  int         `json:"number"`
	ID      string      `json:"id"`
	Title   string      `json:"title"`
	OK      bool        `json:"ok"`
	Detail  string      `json:"detail"`
	Seconds float64     `json:"seconds"`
	Knew    []Knowledge `json:"knew"`
	Ended   bool        `json:"-"`
}

// Result is how the whole play went.
type Result struct {
	OK    bool   `json:"ok"`
	Run   int    `json:"run"`
	Steps []Step `json:"steps"`
}

// Failed is the error of a play with a step that failed.
type Failed struct {
	Step string
	Err  error
}

// Error names the step.
func (f *Failed) Error() string { return fmt.Sprintf("step %s failed: %v", f.Step, f.Err) }

// Unwrap returns why it failed.
func (f *Failed) Unwrap() error { return f.Err }

// play is one performance: what the steps hand on to each other.
type play struct {
	Config
	step *Step // the one that is being played

	propositions map[string]*marketingv1.Proposition
	visitor      visitor
	complainer   complainer
	decided      map[string]string // by contact: the decision behind the last list
}

// visitor is the one whom the story follows.
type visitor struct {
	customer string
	contact  string
	actions  *channelv1.Actions // the last list
	amount   int64              // what they bought for
	lead     string
}

// complainer is a customer of the sample.
type complainer struct {
	customer string
	website  string // their contact on the website
	request  string
}

// part is a step before it is played: it returns its detail.
type part struct {
	id, title string
	play      func(*play, context.Context) (string, error)
	sample    bool // it rests on the sample
}

var parts = []part{
	{"import", "The sample goes into CRM", (*play).importSample, true},
	{"offer", "Marketing says what it may offer", (*play).defineOffers, false},
	{"contact", "An unknown visitor comes to the website, and says who they are", (*play).startContact, false},
	{"steps", "What the visitor does changes the very next list", (*play).takeSteps, false},
	{"request", "The visitor asks for service, then for a quote", (*play).submitRequests, false},
	{"complaint", "A customer complains by phone; marketing will hear of it tomorrow", (*play).complain, true},
	{"realtime", "The company moves request-status to real time", (*play).moveToRealTime, true},
	{"order", "The visitor buys, and becomes the best customer", (*play).placeOrder, false},
	{"campaign", "A campaign calls the best customers, within the call centre's capacity", (*play).runCampaign, true},
	{"response", "The visitor answers the call on the website", (*play).respond, true},
	{"totals", "Importing the sample again adds nothing", (*play).importAgain, true},
	{"personal", "No personal data stands in the store or in a log", (*play).lookForPersonalData, false},
}

// Play plays the scenario to its end, or to the first step that fails: the error
// is a *Failed then.
func Play(ctx context.Context, config Config) (Result, error) {
	if config.Patience <= 0 {
		config.Patience = defaultPatience
	}
	p := &play{Config: config, propositions: map[string]*marketingv1.Proposition{}, decided: map[string]string{}}
	result := Result{OK: true, Run: config.Run, Steps: []Step{}}
	for _, next := range parts {
		if next.sample && !config.Sample {
			continue
		}
		step, err := p.perform(ctx, next, len(result.Steps)+1)
		result.Steps = append(result.Steps, step)
		if err != nil {
			result.OK = false
			return result, &Failed{Step: step.ID, Err: err}
		}
	}
	return result, nil
}

func (p *play) perform(ctx context.Context, next part, number int) (Step, error) {
	step := Step{Number: number, ID: next.id, Title: next.title, Knew: []Knowledge{}}
	p.step = &step
	p.Tell(step)
	began := time.Now()
	detail, err := next.play(p, ctx)
	step.Seconds, step.OK, step.Detail, step.Ended = time.Since(began).Seconds(), err == nil, detail, true
	if err != nil {
		step.Detail = err.Error()
	}
	p.Tell(step)
	return step, err
}

// knew records what a party knew.
func (p *play) knew(party, format string, args ...any) {
	p.step.Knew = append(p.step.Knew, Knowledge{Party: party, Text: fmt.Sprintf(format, args...)})
}

// key is the idempotency key of a call.
func (p *play) key(call string) string { return fmt.Sprintf("run-%d/%s/%s", p.Run, p.step.ID, call) }

// keyed gives the call that is made with the context its key.
func (p *play) keyed(ctx context.Context, call string) context.Context {
	return client.WithKey(ctx, p.key(call))
}
