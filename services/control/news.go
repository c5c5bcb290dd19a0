package control

import (
	"context"
	"fmt"
	"strings"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// News is that something was written about a flow.
type News struct {
	Flow string
	// Frequent tells that it is of the kind that is written all the time: how far the
	// flow has come, and how fresh it was.
	Frequent bool
}

// Follow tells of what is written about flows from now on, until ctx ends. It is a
// hint to look, and no more: who has to know reads the streams.
func (f *Flows) Follow(ctx context.Context, tell func(News)) error {
	var after eventlog.Position
	for e, err := range f.log.ReadAll(ctx, eventlog.Backward, nil, 1) {
		if err != nil {
			return fmt.Errorf("read the end of the log: %w", err)
		}
		after = e.Position
	}
	subscription, err := f.log.SubscribeAll(ctx, eventlog.AllOptions{After: after, Filter: eventlog.Filter{StreamPrefixes: []string{
		flows.ControlStream(""), flows.ProgressStream(""), flows.FreshnessStream(""), "shadow-",
	}}})
	if err != nil {
		return fmt.Errorf("follow the flows: %w", err)
	}
	defer subscription.Close()
	for m := range subscription.Messages() {
		if m.Kind == eventlog.KindEvent {
			tell(newsOf(m.Event.Stream))
		}
	}
	return subscription.Err()
}

// newsOf is what a stream's name says of the flow. What follows a colon tells its
// streams apart.
func newsOf(stream string) News {
	kind, rest, _ := strings.Cut(stream, "-")
	flow, _, _ := strings.Cut(rest, ":")
	return News{Flow: flow, Frequent: kind == "progress" || kind == "freshness"}
}
