package scenarios

import (
	"context"
	"time"

	"github.com/triangle-suite/triangle/services/client"
	"github.com/triangle-suite/triangle/services/control"
)

// World is what a text is played on: the suite, as its customers and its operators
// reach it.
type World struct {
	Services *client.Services
	Flows    *control.Flows
	// Patience is how long something may take to show.
	Patience time.Duration
	// Settled is after how long nothing more is expected to come, where a text is
	// written anew and nobody knows what to wait for.
	Settled time.Duration
	// BackOffice has the back office answer, or be silent, from now on.
	BackOffice func(answers bool) error
	// Views has CRM tell customer views, or come no further than the events that change
	// them, from now on; nil: nobody can stop it there here.
	Views func(told bool)
	// Pass lets time pass; nil: nobody can here.
	Pass func(context.Context, time.Duration) error
}
