package flow

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/digest"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

func TestGate(t *testing.T) {
	at := func(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 0, 0, 0, time.UTC) }
	tests := map[string]struct {
		cadence      string
		lastDue, now time.Time
		want         opening
		wantAt       time.Time
	}{
		"real time is open":                           {flows.RealTime, at(1, 0), at(1, 1), openForGood, time.Time{}},
		"paused stays closed until somebody asks":     {flows.Paused, at(1, 0), at(9, 1), stayClosed, time.Time{}},
		"daily is closed until the next window":       {flows.Daily, at(21, 2), at(21, 9), stayClosed, at(22, 2)},
		"daily opens when its window is due":          {flows.Daily, at(21, 2), at(22, 2), openToMarker, at(22, 2)},
		"missed windows fold into the last":           {flows.Daily, at(18, 2), at(21, 9), openToMarker, at(21, 2)},
		"an epoch that began after a window waits":    {flows.Daily, at(21, 8), at(21, 9), stayClosed, at(22, 2)},
		"a clock set back opens nothing again":        {flows.Daily, at(22, 2), at(21, 9), stayClosed, at(22, 2)},
		"weekly is due on Mondays":                    {flows.Weekly, at(16, 2), at(23, 3), openToMarker, at(23, 2)},
		"a cron expression is due in its own zone":    {"CRON_TZ=Asia/Tokyo 0 9 * * *", at(20, 0), at(21, 0), openToMarker, at(21, 0)},
		"an hourly window that has just been is done": {flows.Hourly, at(21, 9), at(21, 9), stayClosed, at(21, 10)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cadence, err := flows.ParseCadence(tc.cadence)
			if err != nil {
				t.Fatal(err)
			}
			got, gotAt := decideGate(cadence, tc.lastDue, tc.now)
			if got != tc.want || !gotAt.Equal(tc.wantAt) {
				t.Errorf("decideGate = %v at %v, want %v at %v", got, gotAt, tc.want, tc.wantAt)
			}
		})
	}
}

// The digest of a set of histories, one per key, computed all at once.
func naiveDigest(histories map[string][]uuid.UUID) (total digest.Sum) {
	for _, ids := range histories {
		var c chain
		for _, id := range ids {
			c = c.next(id)
		}
		total = total.Plus(digest.Hash(c))
	}
	return total
}

func TestTheDigestDependsOnTheOrderWithinKeysOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 30).Draw(t, "keys")
		histories, chains := map[string][]uuid.UUID{}, map[string]chain{}
		var got digest.Sum
		for i, key := range keys {
			id := uuid.NewSHA1(namespace, []byte{byte(i)})
			histories[key] = append(histories[key], id)
			next := chains[key].next(id)
			got = replace(got, chains[key], next)
			chains[key] = next
		}
		if want := naiveDigest(histories); got != want {
			t.Fatalf("one by one the digest is %s, all at once %s", got, want)
		}
		parsed, err := digest.Parse(got.String())
		if err != nil || parsed != got {
			t.Fatalf("%s is read back as %s (%v)", got, parsed, err)
		}
		for key, ids := range histories {
			if len(ids) < 2 {
				continue
			}
			swapped := map[string][]uuid.UUID{}
			for k, v := range histories {
				swapped[k] = append([]uuid.UUID(nil), v...)
			}
			swapped[key][0], swapped[key][1] = swapped[key][1], swapped[key][0]
			if naiveDigest(swapped) == got {
				t.Fatalf("swapping two events of %s left the digest as it was", key)
			}
		}
	})
}

func TestFreshnessIsNeverInTheFutureAndKnowsWhatItDoesNotKnow(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	tests := map[string]struct {
		oldest, storeSeen, want time.Time
	}{
		"nothing waits":                        {time.Time{}, now, now},
		"an event waits":                       {ago(time.Hour), now, ago(time.Hour)},
		"the store is away":                    {time.Time{}, ago(time.Minute), ago(time.Minute)},
		"the store's clock is ahead":           {now.Add(time.Hour), now, now},
		"an event waits and the store is away": {ago(time.Hour), ago(time.Minute), ago(time.Hour)},
		"the store went away before it came":   {ago(time.Second), ago(time.Minute), ago(time.Minute)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := freshAsOf(State{Known: true, Oldest: tc.oldest}, tc.storeSeen, now); !got.Equal(tc.want) {
				t.Errorf("as of %v, want %v", got, tc.want)
			}
		})
	}
	if got := freshAsOf(State{AsOf: ago(time.Hour)}, now, now); !got.Equal(ago(time.Hour)) {
		t.Errorf("before anything was looked at: as of %v, want the last event's time", got)
	}
}

func TestAReactionThatTurnsCausesAwayMustRecordIt(t *testing.T) {
	answer := func(context.Context, projection.Querier, Cause) error { return nil }
	always := func(codec.Event) bool { return true }
	tests := map[string]struct {
		reaction Reaction
		ok       bool
	}{
		"answers all":                        {Reaction{Name: "r", Takes: always, Answer: answer}, true},
		"has no name":                        {Reaction{Takes: always, Answer: answer}, false},
		"expires without a record":           {Reaction{Name: "r", Takes: always, Answer: answer, Late: LatePolicy{Do: ExpireLate}}, false},
		"expires, and says what it declined": {Reaction{Name: "r", Takes: always, Answer: answer, Late: LatePolicy{Do: ExpireLate}, Decline: func(context.Context, projection.Querier, Cause, string) error { return nil }}, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if err := (Consumer{Reactions: []Reaction{tc.reaction}}).check(); (err == nil) != tc.ok {
				t.Errorf("check = %v, want ok: %v", err, tc.ok)
			}
		})
	}
}
