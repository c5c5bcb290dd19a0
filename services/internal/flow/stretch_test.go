package flow

import (
	"testing"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
)

func TestAStretchKnowsForHowLongAFlowWasTooStale(t *testing.T) {
	at := func(d time.Duration) time.Time { return dawn.Add(d) }
	const minute, hour = time.Minute, time.Hour
	tests := map[string]struct {
		now, oldest time.Duration // since the stretch was measured last; an event may wait for 10 minutes
		total, good time.Duration
	}{
		"nothing waits":                             {minute, minute, minute, minute},
		"an event waits, and may":                   {minute, -9 * minute, minute, minute},
		"an event begins to wait for too long":      {minute, -9*minute - 30*time.Second, minute, 30 * time.Second},
		"an event has waited for too long":          {minute, -hour, minute, 0},
		"nobody was there, and nothing came":        {5 * hour, 5 * hour, 5 * hour, 5 * hour},
		"nobody was there, and an event came":       {5 * hour, hour, 5 * hour, hour + 10*minute},
		"nobody was there, and an event was late":   {5 * hour, -hour, 5 * hour, 0},
		"nobody was there for longer than a budget": {9000 * hour, 9000 * hour, flows.Window, flows.Window},
		"nobody was there for long, and it is late": {9000 * hour, hour, flows.Window, 0},
		"the clock was set back":                    {-hour, -hour, 0, 0},
		"the store's clock is ahead":                {minute, hour, minute, minute},
		"no time has passed":                        {0, -hour, 0, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := stretch{since: at(-hour), until: at(0), total: hour, good: hour, objective: flows.Objective{Staleness: 10 * minute, Share: 0.9}}
			got := s.measure(at(tc.now), at(tc.oldest))
			if got.total-hour != tc.total || got.good-hour != tc.good || !got.until.Equal(at(tc.now)) {
				t.Errorf("of %s it was fresh for %s, want %s of %s", got.total-hour, got.good-hour, tc.good, tc.total)
			}
		})
	}
}

func TestAStretchEndsWithItsHourAndItsEpoch(t *testing.T) {
	o := flows.Objective{Staleness: time.Minute, Share: 0.9}
	s := stretch{epoch: 2, since: dawn.Add(30 * time.Minute), objective: o}
	tests := map[string]struct {
		now   time.Duration
		epoch uint64
		o     flows.Objective
		want  bool
	}{
		"within its hour":            {59*time.Minute + 59*time.Second, 2, o, false},
		"when the hour ends":         {time.Hour, 2, o, true},
		"long after":                 {50 * time.Hour, 2, o, true},
		"when another epoch begins":  {40 * time.Minute, 3, o, true},
		"when a new build wants it":  {40 * time.Minute, 2, flows.Objective{Staleness: time.Hour, Share: 0.9}, true},
		"when the clock is set back": {-time.Hour, 2, o, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := s.isOver(dawn.Add(tc.now), tc.epoch, tc.o); got != tc.want {
				t.Errorf("isOver = %v, want %v", got, tc.want)
			}
		})
	}
}
