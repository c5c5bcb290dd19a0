package outbound

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/scenario"
	"github.com/triangle-suite/triangle/services/sales/internal/workforce"
)

// LM-2: how much a channel's plan makes of an interval.
func TestScenariosLM2(t *testing.T) {
	duration := func(t *testing.T, w scenario.Words, name string) *durationpb.Duration {
		if w.Get(name) == "" {
			return nil
		}
		d, err := time.ParseDuration(w.Get(name))
		if err != nil {
			w.Fatalf(t, "%s: %v", name, err)
		}
		return durationpb.New(d)
	}
	decimal := func(t *testing.T, w scenario.Words, name string) (f float64) {
		if text := w.Get(name); text != "" {
			if _, err := fmt.Sscan(text, &f); err != nil {
				w.Fatalf(t, "%s: %v", name, err)
			}
		}
		return f
	}
	scenario.Run(t, "testdata", func(t *testing.T) map[string]scenario.Command {
		var plan Plan
		decide := func(request *salesv1.PlanOutboundRequest) string {
			planned, err := check(request)
			return scenario.Decide(&plan, Decider, func(p Plan) ([]proto.Message, error) {
				if err != nil {
					return nil, err
				}
				return Decide(p, planned), nil
			})
		}
		request := func(w scenario.Words) *salesv1.PlanOutboundRequest {
			channel := scenario.Number(t, journeyv1.Channel(0).Descriptor(), w.Get("channel"))
			return &salesv1.PlanOutboundRequest{Channel: journeyv1.Channel(channel), ExpiresAfter: duration(t, w, "expires")}
		}
		return map[string]scenario.Command{
			"calls": func(w scenario.Words) string {
				r := request(w)
				r.Calls = &salesv1.Calls{
					Agents: uint32(w.Number(t, "agents")), HandlingTime: duration(t, w, "handling"),
					InboundPerHour: decimal(t, w, "inbound"), InboundHandlingTime: duration(t, w, "inbound-handling"),
					ServiceLevel: decimal(t, w, "level"), AnsweredWithin: duration(t, w, "within"),
				}
				return decide(r)
			},
			"mailing": func(w scenario.Words) string {
				r := request(w)
				r.Mailing = &salesv1.Mailing{PerHour: uint32(w.Number(t, "rate"))}
				return decide(r)
			},
			"staff": func(scenario.Words) string {
				inbound, free, err := Staff(plan.GetCalls())
				switch {
				case errors.Is(err, workforce.ErrUnstable):
					return "nobody calls out: the queue would grow without end\n"
				case errors.Is(err, workforce.ErrTooFew):
					return "nobody calls out: all are needed for the calls that come in\n"
				}
				return fmt.Sprintf("%d for the calls that come in, %d call out\n", inbound, free)
			},
			"fits": func(w scenario.Words) string {
				n := Fits(plan, duration(t, w, "interval").AsDuration(), uint32(w.Number(t, "waiting")))
				if n == math.MaxUint32 {
					return "as much as is granted\n"
				}
				return fmt.Sprintln(n)
			},
		}
	})
}

// More agents never hold less, and more calls or more work that waits never more.
func TestWhatFitsFollowsThePlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seconds := func(name string, most int64) *durationpb.Duration {
			return durationpb.New(time.Duration(rapid.Int64Range(1, most).Draw(t, name)) * time.Second)
		}
		calls := &salesv1.Calls{
			Agents: rapid.Uint32Range(0, 200).Draw(t, "agents"), HandlingTime: seconds("handling", 900),
			InboundPerHour: rapid.Float64Range(0, 1000).Draw(t, "inbound"), InboundHandlingTime: seconds("inbound handling", 600),
			ServiceLevel: rapid.Float64Range(0.01, 0.99).Draw(t, "level"), AnsweredWithin: seconds("within", 120),
		}
		waiting := rapid.Uint32Range(0, 50).Draw(t, "waiting")
		length := time.Duration(rapid.Int64Range(0, int64(3*time.Hour)).Draw(t, "interval"))
		fits := func(change func(*salesv1.Calls), waiting uint32) uint32 {
			c := proto.CloneOf(calls)
			change(c)
			return Fits(&salesv1.OutboundPlanned{Calls: c}, length, waiting)
		}
		n := fits(func(*salesv1.Calls) {}, waiting)
		switch {
		case fits(func(c *salesv1.Calls) { c.Agents++ }, waiting) < n:
			t.Fatalf("%d fit, and less with one more agent", n)
		case fits(func(c *salesv1.Calls) { c.InboundPerHour *= 1.1 }, waiting) > n:
			t.Fatalf("%d fit, and more when more calls come in", n)
		case fits(func(*salesv1.Calls) {}, waiting+1) > n:
			t.Fatalf("%d fit, and more when more waits", n)
		case time.Duration(n)*calls.GetHandlingTime().AsDuration() > time.Duration(calls.GetAgents())*length:
			t.Fatalf("%d calls of %s take longer than %d agents have", n, calls.GetHandlingTime().AsDuration(), calls.GetAgents())
		}
	})
}
