package scenarios

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"

	"github.com/triangle-suite/triangle/services/await"
	"github.com/triangle-suite/triangle/services/control"
)

var flowCommands = []command{
	{form: "flow FLOW", do: (*play).showFlow, again: true},
	{form: "flow FLOW is set to CADENCE", do: (*play).setCadence},
	{form: "flow FLOW takes in what is there", do: (*play).runWindow},
	{form: "flow FLOW gets a shadow at CADENCE", do: (*play).startShadow},
	{form: "flow FLOW is compared with its shadow", do: (*play).compareShadow},
	{form: "flow FLOW is audited", do: (*play).auditFlow},
	{form: "time passes", do: (*play).passTime},
}

func (p *play) showFlow(ctx context.Context, w words) (string, error) {
	state, err := p.Flows.Get(ctx, w.said["FLOW"])
	return fmt.Sprintf("%s to %s, %s, in epoch %d", state.Flow.From, state.Flow.To, state.Cadence, state.Epoch), err
}

// setCadence moves a flow, and waits until its consumer has adopted it.
func (p *play) setCadence(ctx context.Context, w words) (string, error) {
	flow, cadence := w.said["FLOW"], w.said["CADENCE"]
	if _, err := p.Flows.Set(ctx, flow, cadence, itself, p.text.Title); err != nil {
		return "refused: " + err.Error(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.Patience)
	defer cancel()
	state, err := p.Flows.WaitSettled(ctx, flow)
	return fmt.Sprintf("%s runs %s, in epoch %d", flow, state.Cadence, state.Epoch), err
}

// windowPatience is how long a window may take before another one is asked for: the
// one that was asked for may have gone with its consumer.
const windowPatience = 15 * time.Second

// runWindow opens a flow's gate now, and waits until it is closed again.
func (p *play) runWindow(ctx context.Context, w words) (string, error) {
	flow := w.said["FLOW"]
	before, err := p.windows(ctx, flow)
	if err != nil {
		return "", err
	}
	err = p.openUntil(ctx, flow, "its gate has closed", func(ctx context.Context) (bool, error) {
		now, err := p.windows(ctx, flow)
		return now > before, err
	})
	if errors.Is(err, control.ErrRealTime) || errors.Is(err, control.ErrPaused) {
		return "refused: " + err.Error(), nil
	}
	return "its gate was open", err
}

// openUntil opens a flow's gate now, and again for as long as it is not so.
func (p *play) openUntil(ctx context.Context, flow, what string, is func(context.Context) (bool, error)) error {
	for given := time.Now(); ; {
		if _, err := p.Flows.RunWindow(ctx, flow, itself, p.text.Title); err != nil {
			return err
		}
		err := await.Until(ctx, windowPatience, what, func(ctx context.Context) error {
			so, err := is(ctx)
			if err == nil && !so {
				return await.NotYetf("it is not so")
			}
			return err
		})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(given) > p.Patience {
			return err
		}
	}
}

// startShadow has a flow taken in at another cadence too, beside, and waits until the
// shadow has its copy of the tables.
func (p *play) startShadow(ctx context.Context, w words) (string, error) {
	flow, cadence := w.said["FLOW"], w.said["CADENCE"]
	if _, err := p.Flows.StartShadow(ctx, flow, cadence, itself, p.text.Title); err != nil {
		return "refused: " + err.Error(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.Patience)
	defer cancel()
	shadow, err := p.Flows.WaitShadow(ctx, flow, control.Shadow.Started)
	return fmt.Sprintf("%s has a shadow at %s", flow, shadow.Cadence), err
}

// compareShadow compares a flow whose gate is closed with its shadow: at a marker
// that is set now, and that the gate is opened for.
func (p *play) compareShadow(ctx context.Context, w words) (string, error) {
	flow := w.said["FLOW"]
	marker, refused := p.Flows.CompareShadow(ctx, flow, itself)
	if refused != nil {
		return "refused: " + refused.Error(), nil //nolint:nilerr // a text shows what is refused
	}
	var compared *flowv1.ShadowCompared
	err := p.openUntil(ctx, flow, "the two are compared", func(ctx context.Context) (bool, error) {
		shadow, err := p.Flows.GetShadow(ctx, flow)
		compared = shadow.At(marker)
		return compared != nil, err
	})
	switch {
	case err != nil:
		return "", err
	case compared.GetOutcome() == flowv1.ShadowOutcome_SHADOW_OUTCOME_EQUAL:
		return "equal: rows, their order within each key, what is parked, and the causes", nil
	}
	return control.Compared(compared), nil
}

// windows counts the windows of a flow that have closed.
func (p *play) windows(ctx context.Context, flow string) (closed int, err error) {
	history, err := p.Flows.History(ctx, flow)
	for _, entry := range history {
		if _, ok := entry.Event.(*flowv1.WindowClosed); ok {
			closed++
		}
	}
	return closed, err
}

// auditFlow tells whether all that was produced was delivered, once and in order, in
// the flow's epochs so far.
func (p *play) auditFlow(ctx context.Context, w words) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Patience)
	defer cancel()
	a, err := p.Flows.Audit(ctx, w.said["FLOW"], control.AuditOf{}, itself)
	if err != nil {
		return "", err
	}
	if !a.Closes() {
		return "it does not close: " + strings.Join(a.Objections, "; "), nil
	}
	return "it closes: produced = delivered + filtered + parked", nil
}

// passTime lets hours or days pass.
func (p *play) passTime(ctx context.Context, w words) (string, error) {
	if p.Pass == nil {
		return "", errors.New("time does not pass at will here: the header must say that the text runs in simulation only")
	}
	for _, unit := range []struct {
		name string
		is   time.Duration
	}{{"hours", time.Hour}, {"days", 24 * time.Hour}} {
		if text := w.Get(unit.name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				return "", fmt.Errorf("%s is no number: %w", unit.name, err)
			}
			return "later", p.Pass(ctx, time.Duration(n)*unit.is)
		}
	}
	return "", errors.New("say how many hours or days")
}
