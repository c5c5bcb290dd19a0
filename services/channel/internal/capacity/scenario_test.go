package capacity

import (
	"strconv"
	"testing"
	"time"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/scenario"
)

func TestScenarios(t *testing.T) {
	scenario.Run(t, "testdata", func(t *testing.T) map[string]scenario.Command {
		state := map[string]granted{} // by stream
		channel := func(d scenario.Words) journeyv1.Channel {
			return journeyv1.Channel(scenario.Number(t, journeyv1.Channel(0).Descriptor(), d.Get("channel")))
		}
		number := func(d scenario.Words, name string) uint32 {
			n, err := strconv.ParseUint(d.Get(name), 10, 32)
			if err != nil {
				d.Fatalf(t, "%s: %v", name, err)
			}
			return uint32(n)
		}
		return map[string]scenario.Command{
			"grant": func(d scenario.Words) string {
				at, err := time.Parse(time.RFC3339, d.Get("at"))
				if err != nil {
					d.Fatalf(t, "%v", err)
				}
				c := Grant{Channel: channel(d), StartsAt: at.UTC(), Capacity: number(d, "capacity")}
				stream := grantStream(c.Channel, Interval(c.StartsAt))
				s := state[stream]
				told := scenario.Decide(&s, grants, c.Decide)
				state[stream] = s
				return stream + "\n" + told
			},
			"report": func(d scenario.Words) string {
				c := Report{Channel: channel(d), Waiting: number(d, "waiting"), At: time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)}
				var s struct{}
				return workloadStream(c.Channel) + "\n" + scenario.Decide(&s, workloads, c.Decide)
			},
		}
	})
}
