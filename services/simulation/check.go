package simulation

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// check looks at what has come of a run, when it has come to rest. It believes
// the log, and of what the services wrote about themselves only that it is what
// the log makes of it:
//
//   - each service's tables are those that a new database comes to, without a
//     fault, from the same log: what is parked, and how far each flow has come,
//     included. It finds nothing left to be written to the log (fold.go).
//   - each cause was answered once, or is recorded to have no answer, and each
//     answer is what the reaction gives again (answers.go).
//   - nothing is left of who was erased, and whatever else was sealed can be read
//     (erased.go).
//   - what is told of outbound messages is what arrived (mail.go).
//   - the epochs of each flow add up to the events that there are, and each control
//     event was told once (control.go).
func (w *world) check(dir string) error {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	raw := w.events()
	w.count(raw)
	l := w.decode(ctx, raw)
	w.checkKeys(l)
	w.checkIDs(l)
	w.checkDecisions(l)
	w.checkMail(l)
	for _, name := range flows.Services {
		anew, err := w.foldAnew(ctx, name, filepath.Join(dir, string(name)+"-anew.db"))
		if err != nil {
			return err
		}
		if err := w.compare(ctx, w.services[name].where, anew); err != nil {
			return err
		}
		if err := w.checkForgotten(ctx, w.services[name].where, l, anew); err != nil {
			return err
		}
		w.checkOwn(name, anew)
		for _, f := range flows.Into(name) {
			w.checkFlow(f, l, anew.app.Flows.Intake(f.Name).State().Taken)
		}
		if err := w.checkAnswers(ctx, l, anew); err != nil {
			return err
		}
		if err := anew.db.Close(); err != nil {
			return err
		}
	}
	return nil
}

// checkOwn holds the flows of a service's own events against their list, by which
// what they have parked is found.
func (w *world) checkOwn(name flows.Service, anew folded) {
	taken, listed := map[string]bool{}, map[string]bool{}
	for _, f := range anew.app.Flows.Flows() {
		if f.From == f.To {
			taken[f.Name] = true
		}
	}
	for _, f := range flows.Own() {
		if f.From == name {
			listed[f.Name] = true
		}
	}
	if !maps.Equal(taken, listed) {
		w.diverge("%s takes in %v of its own, and the list has %v", name, slices.Sorted(maps.Keys(taken)), slices.Sorted(maps.Keys(listed)))
	}
}

// history is the log as the checks see it.
type history struct {
	all      []codec.Event // those that can be read
	byOrigin map[string][]codec.Event
	unread   map[string]bool // ids of those that can't be read
	raw      []eventlog.Event

	forgotten forgotten
}

func (w *world) decode(ctx context.Context, raw []eventlog.Event) history {
	l := history{raw: raw, byOrigin: map[string][]codec.Event{}, unread: map[string]bool{}}
	for _, e := range raw {
		event, err := w.codec.Decode(ctx, e)
		switch {
		case err == nil:
			l.all = append(l.all, event)
			if origin := event.Metadata.Origin; origin != "" {
				l.byOrigin[origin] = append(l.byOrigin[origin], event)
			}
		case strings.HasPrefix(e.Stream, "poison-"):
			l.unread[e.ID.String()] = true
		default:
			w.diverge("an event of the services' own can't be read: %v", err)
		}
	}
	l.forgotten = forgottenIn(l.all)
	return l
}
