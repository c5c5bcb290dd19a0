package rollout_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/operator/internal/rollout"
)

var (
	noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	spec = rollout.Spec{Name: "shop", Deadline: 10 * time.Minute, Observe: time.Minute, MaxErrorPercent: 1, By: "operator"}
)

// at is an event of channel, some time after noon.
func at(after time.Duration, m proto.Message) rollout.Event {
	return rollout.Event{At: noon.Add(after), Message: m}
}

func began(image, attempt string, stale ...string) proto.Message {
	return &flowv1.RolloutBegan{Service: "channel", Image: image, Attempt: attempt, By: "operator", Stale: stale}
}

func serving(image string) proto.Message {
	return &flowv1.RolloutServing{Service: "channel", Image: image}
}

func returned(image, good, reason string) proto.Message {
	return &flowv1.RolloutReturned{Service: "channel", Image: image, GoodImage: good, Reason: reason}
}

func ended(image string, outcome flowv1.RolloutOutcome, reason string) proto.Message {
	return &flowv1.RolloutEnded{Service: "channel", Image: image, Outcome: outcome, Reason: reason}
}

const (
	good       = flowv1.RolloutOutcome_ROLLOUT_OUTCOME_GOOD
	back       = flowv1.RolloutOutcome_ROLLOUT_OUTCOME_RETURNED
	held       = flowv1.RolloutOutcome_ROLLOUT_OUTCOME_HELD
	superseded = flowv1.RolloutOutcome_ROLLOUT_OUTCOME_SUPERSEDED
)

// one is the history of a service that runs image 1.
var one = []rollout.Event{at(-time.Hour, began("1", "a1")), at(-50*time.Minute, ended("1", good, ""))}

func history(more ...rollout.Event) []rollout.Event {
	return append(append([]rollout.Event{}, one...), more...)
}

func TestWhatFollows(t *testing.T) {
	for name, tc := range map[string]struct {
		history []rollout.Event
		service rollout.Service // channel; its image 2 is wanted, announced and told, unless it says else
		change  func(*rollout.Spec, *rollout.Observation)
		after   time.Duration
		tell    proto.Message
		waits   string // a part of the only message
		stalled bool
		again   time.Duration // after noon; 0: no need
	}{
		"all is well": {history: one, service: rollout.Service{Wanted: "1", Attempt: "a1", Ready: true}},
		"it runs, and is not ready": {
			history: one, service: rollout.Service{Wanted: "1", Attempt: "a1", Trouble: "0 of 2 replicas"}, waits: "not ready (0 of 2 replicas)",
		},
		"another image has not announced itself": {
			history: one, service: rollout.Service{Ready: true}, waits: "to announce its contract",
			change: func(_ *rollout.Spec, o *rollout.Observation) { o.Services[0].Announced = false },
		},
		"nor will it ever": {
			history: one, service: rollout.Service{Ready: true, AnnouncingFailed: "it ended with status 2"}, stalled: true,
			waits:  "announces no contract: it ended with status 2; see the logs of its Job, and name an image of channel-support",
			change: func(_ *rollout.Spec, o *rollout.Observation) { o.Services[0].Announced = false },
		},
		"it can't read an active type": {
			history: one, service: rollout.Service{Ready: true, Lacks: []string{"does not read sales.v2.BonusGranted"}}, stalled: true,
			waits: "can't go over to 2, which does not read sales.v2.BonusGranted: name an image that reads it",
		},
		"it goes over, and what is stale already is noted": {
			history: one, service: rollout.Service{Ready: true, Stale: []string{"lead-dispatch"}}, tell: began("2", "a2", "lead-dispatch"),
		},
		"another service is rolled out": {
			history: one, service: rollout.Service{Ready: true}, waits: "channel waits until another service's rollout has ended",
			change: func(_ *rollout.Spec, o *rollout.Observation) {
				o.Services = append(o.Services, rollout.Service{
					Name: "sales", Wanted: "2", Attempt: "a2", Announced: true,
					Record: rollout.Fold(history(at(0, began("2", "a2")))), // which waits for its own
				})
			}, again: 10 * time.Minute,
		},
		"it starts": {
			history: history(at(0, began("2", "a2"))), service: rollout.Service{Trouble: "0 of 1 replicas"}, after: time.Minute,
			waits: "waits for 2 to be ready (0 of 1 replicas)", again: 10 * time.Minute,
		},
		"it is ready":                               {history: history(at(0, began("2", "a2"))), service: rollout.Service{Ready: true}, tell: serving("2")},
		"the first image of all is not watched":     {history: []rollout.Event{at(0, began("2", "a2"))}, service: rollout.Service{Ready: true}, tell: ended("2", good, "")},
		"it is not ready in time":                   {history: history(at(0, began("2", "a2"))), after: 10 * time.Minute, tell: returned("2", "1", "it was not ready within 10m0s")},
		"nor is the first image of all":             {history: []rollout.Event{at(0, began("2", "a2"))}, after: 10 * time.Minute, tell: ended("2", held, "it was not ready within 10m0s; there is no image to go back to")},
		"it is not ready, and nothing goes back":    {history: history(at(0, began("2", "a2"))), after: 10 * time.Minute, tell: ended("2", held, "it was not ready within 10m0s; spec.rollout.onFailure is Hold"), change: func(s *rollout.Spec, _ *rollout.Observation) { s.Hold = true }},
		"it is not ready, and the way back is shut": {history: history(at(0, began("2", "a2"))), service: rollout.Service{GoodLacks: []string{"does not read x"}}, after: 10 * time.Minute, tell: ended("2", held, "it was not ready within 10m0s; the way back is closed, as 1 does not read x")},
		"the store was away meanwhile, so the deadline begins anew": {
			history: history(at(0, began("2", "a2"))), after: 10 * time.Minute, waits: "waits for 2 to be ready", again: 19 * time.Minute,
			change: func(_ *rollout.Spec, o *rollout.Observation) { o.Reachable = noon.Add(9 * time.Minute) },
		},
		"it is watched": {
			history: history(at(0, began("2", "a2")), at(time.Minute, serving("2"))), service: rollout.Service{Ready: true, Calls: 9, Failed: 9},
			after: 90 * time.Second, waits: "is watched for 1m0s", again: 2 * time.Minute,
		},
		"many calls fail, and nobody waits until time is up": {
			history: history(at(0, began("2", "a2")), at(time.Minute, serving("2"))), service: rollout.Service{Ready: true, Calls: 100, Failed: 2},
			after: 90 * time.Second, tell: returned("2", "1", "2 of its 100 calls failed, more than 1%"),
		},
		"as many may fail": {
			history: history(at(0, began("2", "a2")), at(time.Minute, serving("2"))), service: rollout.Service{Ready: true, Calls: 100, Failed: 1},
			after: 2 * time.Minute, tell: ended("2", good, ""),
		},
		"few calls count when time is up": {
			history: history(at(0, began("2", "a2")), at(time.Minute, serving("2"))), service: rollout.Service{Ready: true, Calls: 9, Failed: 1},
			after: 2 * time.Minute, tell: returned("2", "1", "1 of its 9 calls failed, more than 1%"),
		},
		"nobody calls": {
			history: history(at(0, began("2", "a2")), at(time.Minute, serving("2"))), service: rollout.Service{Ready: true},
			after: 2 * time.Minute, tell: ended("2", good, ""),
		},
		"a flow has become stale, and is given time": {
			history: history(at(0, began("2", "a2", "lead-dispatch")), at(time.Minute, serving("2"))),
			service: rollout.Service{Ready: true, Stale: []string{"lead-dispatch", "customer-view"}}, after: 2 * time.Minute,
			waits: "as it takes in customer-view later than it ought to", again: 12 * time.Minute,
		},
		"and that is up": {
			history: history(at(0, began("2", "a2", "lead-dispatch")), at(time.Minute, serving("2"))),
			service: rollout.Service{Ready: true, Stale: []string{"lead-dispatch", "customer-view"}}, after: 12 * time.Minute,
			tell: returned("2", "1", "it takes in customer-view later than it ought to, and did not before"),
		},
		"what was stale before may stay so": {
			history: history(at(0, began("2", "a2", "lead-dispatch")), at(time.Minute, serving("2"))),
			service: rollout.Service{Ready: true, Stale: []string{"lead-dispatch"}}, after: 2 * time.Minute, tell: ended("2", good, ""),
		},
		"no replica tells of its calls": {
			history: history(at(0, began("2", "a2")), at(time.Minute, serving("2"))), service: rollout.Service{Ready: true}, after: 2 * time.Minute,
			change: func(_ *rollout.Spec, o *rollout.Observation) { o.Services[0].Told = false }, waits: "no replica of it has told", again: 12 * time.Minute,
		},
		"another image is wanted meanwhile": {
			history: history(at(0, began("2", "a2"))), service: rollout.Service{Wanted: "3", Attempt: "a3"}, tell: ended("2", superseded, "the spec names 3 meanwhile"),
		},
		"but it can't read what this one writes, so this one is judged": {
			history: history(at(0, began("2", "a2"))), service: rollout.Service{Wanted: "3", Attempt: "a3", Lacks: []string{"does not read x"}},
			after: 10 * time.Minute, tell: returned("2", "1", "it was not ready within 10m0s"),
		},
		"it goes back": {
			history: history(at(0, began("2", "a2")), at(time.Minute, returned("2", "1", "it broke"))), after: 2 * time.Minute,
			waits: "channel goes back to 1, as 2 failed: it broke", again: 11 * time.Minute,
		},
		"it is back": {
			history: history(at(0, began("2", "a2")), at(time.Minute, returned("2", "1", "it broke"))), service: rollout.Service{Ready: true},
			tell: ended("2", back, "it broke"),
		},
		"it does not come back either": {
			history: history(at(0, began("2", "a2")), at(time.Minute, returned("2", "1", "it broke"))), after: 11 * time.Minute,
			tell: ended("2", back, "it broke; and 1 was not ready again within 10m0s"),
		},
		"what failed is left alone": {
			history: history(at(0, began("2", "a2")), at(time.Minute, returned("2", "1", "it broke")), at(time.Minute, ended("2", back, "it broke"))),
			service: rollout.Service{Ready: true}, stalled: true,
			waits: `channel went back to 1, as 2 failed: it broke; name another image in spec.channel.image, or have it tried again: kubectl annotate --overwrite triangle shop triangle.dev/retry="$(date -u +%FT%TZ)"`,
		},
		"until somebody has it tried again": {
			history: history(at(0, began("2", "a2")), at(time.Minute, returned("2", "1", "it broke")), at(time.Minute, ended("2", back, "it broke"))),
			service: rollout.Service{Ready: true, Attempt: "a3"}, tell: began("2", "a3"),
		},
		"what is held stays": {
			history: history(at(0, began("2", "a2")), at(time.Minute, ended("2", held, "it broke"))), service: rollout.Service{}, stalled: true,
			waits: "channel stays at 2, which failed: it broke; name another image",
		},
		"what is held goes back when somebody says so": {
			history: history(at(0, began("2", "a2")), at(time.Minute, ended("2", held, "it broke"))),
			service: rollout.Service{Wanted: "1", Attempt: "a1b"}, tell: began("1", "a1b"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := tc.service
			s.Name, s.Record, s.Announced, s.Told = "channel", rollout.Fold(tc.history), true, true
			if s.Wanted == "" {
				s.Wanted = "2"
			}
			if s.Attempt == "" {
				s.Attempt = "a2"
			}
			spec, seen := spec, rollout.Observation{Services: []rollout.Service{s}}
			if tc.change != nil {
				tc.change(&spec, &seen)
			}
			plan := rollout.Next(spec, seen, noon.Add(tc.after))
			if !proto.Equal(plan.Tell, tc.tell) {
				t.Errorf("tells %v, want %v", plan.Tell, tc.tell)
			}
			var waits []rollout.Wait
			for _, w := range plan.Waits {
				if w.Service == "channel" {
					waits = append(waits, w)
				}
			}
			switch {
			case tc.waits == "" && len(waits) > 0 && tc.tell == nil:
				t.Errorf("waits: %+v", waits)
			case tc.waits != "" && (len(waits) != 1 || !strings.Contains(waits[0].Message, tc.waits) || waits[0].Stalled != tc.stalled):
				t.Errorf("waits: %+v, want %q, stalled %v", waits, tc.waits, tc.stalled)
			}
			want := time.Time{}
			if tc.again != 0 {
				want = noon.Add(tc.again)
			}
			if !plan.Again.Equal(want) {
				t.Errorf("looks again at %s, want %s", plan.Again, want)
			}
		})
	}
}

func TestTypesAreActivatedBetweenRollouts(t *testing.T) {
	s := rollout.Service{Name: "channel", Wanted: "2", Attempt: "a2", Announced: true, Told: true, Record: rollout.Fold(one), Ready: true}
	if rollout.Next(spec, rollout.Observation{Services: []rollout.Service{s}}, noon).Settled {
		t.Error("a rollout begins, and it is settled")
	}
	s.Record = rollout.Fold(history(at(0, began("2", "a2"))))
	if rollout.Next(spec, rollout.Observation{Services: []rollout.Service{s}}, noon).Settled {
		t.Error("a rollout is under way, and it is settled")
	}
	s.Record = rollout.Fold(history(at(0, began("2", "a2")), at(1, ended("2", good, ""))))
	if !rollout.Next(spec, rollout.Observation{Services: []rollout.Service{s}}, noon).Settled {
		t.Error("nothing is under way, and it is not settled")
	}
}
