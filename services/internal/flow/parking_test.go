package flow_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// operator is who looks after what is parked. It knows the event store only.
type operator struct{ *world }

func (o operator) list() []control.Parked {
	o.t.Helper()
	all, err := o.flows.ListParked(o.t.Context(), "")
	if err != nil {
		o.t.Fatal(err)
	}
	return all
}

func (o operator) retry(event uuid.UUID) string {
	o.t.Helper()
	id, err := o.flows.Retry(o.t.Context(), tested, event.String(), "ada", "mended")
	return o.outcome(id, err)
}

func (o operator) skip(event uuid.UUID) string {
	o.t.Helper()
	id, err := o.flows.Skip(o.t.Context(), tested, event.String(), "ada", "a test order")
	return o.outcome(id, err)
}

// outcome waits for the answer to a request, and returns it without ids.
func (o operator) outcome(request uuid.UUID, err error) string {
	o.t.Helper()
	if err != nil {
		return "refused: " + err.Error()
	}
	answer, err := o.flows.WaitAnswered(o.t.Context(), tested, request)
	if err != nil {
		o.t.Fatal(err)
	}
	return control.Outcome(answer)
}

// wantParked wants that many events parked, in the consumer's rows and by the
// operator's list.
func (o operator) wantParked(want int, when string) {
	o.t.Helper()
	o.pass(2 * time.Second) // until progress has told
	listed := 0
	for _, p := range o.list() {
		listed += 1 + len(p.Waiting)
	}
	if rows := len(parkedRows(o.world)); rows != want || listed != want || o.rt.Intake(tested).State().Parked != uint64(want) {
		o.t.Errorf("%s: %d rows, %d listed, %d counted; want %d", when, rows, listed, o.rt.Intake(tested).State().Parked, want)
	}
}

// parkedRows returns the ids of what is parked, in the order of the log.
func parkedRows(w *world) []string {
	w.t.Helper()
	rows, err := w.db.Query(w.t.Context(), `SELECT event_id FROM flow_parked ORDER BY commit_position, prepare_position`)
	if err != nil {
		w.t.Fatal(err)
	}
	ids, err := projection.Collect(rows, func(row projection.Scanner, id *string) error { return row.Scan(id) })
	if err != nil {
		w.t.Fatal(err)
	}
	return ids
}

// switchOf is what makes events of a request bad.
type switchOf struct{ on atomic.Bool }

// bad makes taking in the events of a request fail until it is set to false.
func (w *world) bad(request string) *switchOf {
	s := &switchOf{}
	s.on.Store(true)
	before := w.poison
	w.poison = func(r string) error {
		if r == request && s.on.Load() {
			return flow.Unprocessable(errors.New("no such kind"))
		}
		return before(r)
	}
	return s
}

// inParking tells a story of a flow in real time of which three events are
// parked: the first two of r00, and one of r01.
func inParking(t *testing.T, story func(o operator, bad *switchOf, parked []uuid.UUID)) {
	t.Helper()
	inBubble(t, func(w *world) {
		bad, worse := w.bad("r00"), w.bad("r01")
		defer worse.on.Store(false)
		w.set(flows.RealTime)
		w.start()
		parked := []uuid.UUID{w.produce("r00"), w.produce("r00"), w.produce("r01")}
		w.produce("r02")
		o := operator{w}
		o.pass(time.Minute)
		o.wantParked(3, "at the start")
		story(o, bad, parked)
	})
}

func TestAnOperatorSeesWhatIsParked(t *testing.T) {
	inParking(t, func(o operator, _ *switchOf, parked []uuid.UUID) {
		all := o.list()
		if len(all) != 2 || all[0].GetEventId() != parked[0].String() || all[1].GetEventId() != parked[2].String() {
			t.Fatalf("listed %v, want the first of each key", all)
		}
		p := all[0]
		if p.Flow.Name != tested || p.Flow.To != flows.Marketing || p.GetKey() != "r00" || p.GetType() != "sales.RequestStatusChanged" ||
			p.GetAttempts() != 2 || !strings.Contains(p.GetReason(), "no such kind") || p.GetPosition().GetCommit() == 0 {
			t.Errorf("listed %v", p)
		}
		if age := time.Since(p.GetParkedAt().AsTime()); age < time.Minute || age > 2*time.Minute {
			t.Errorf("it was parked %s ago, want a minute", age)
		}
		if len(p.Waiting) != 1 || p.Waiting[0].GetEventId() != parked[1].String() || p.Waiting[0].GetAttempts() != 0 {
			t.Errorf("behind it wait %v, want the second of its key", p.Waiting)
		}
		shown, err := o.flows.ShowParked(o.t.Context(), tested, parked[1].String())
		if err != nil {
			t.Fatal(err)
		}
		if shown.Stream != "request-r00" || shown.Revision != 1 || !strings.Contains(string(shown.Data), `"requestId":"r00"`) || shown.GetWaitsFor() != parked[0].String() {
			t.Errorf("shown %+v", shown)
		}
	})
}

func TestAParkedEventThatWasMendedIsTakenInAndThenThoseBehindIt(t *testing.T) {
	inParking(t, func(o operator, bad *switchOf, parked []uuid.UUID) {
		bad.on.Store(false)
		if got := o.retry(parked[0]); !strings.Contains(got, "was taken in, and after it one that waited") {
			t.Errorf("the answer is %q", got)
		}
		o.wantParked(1, "after the retry")
		last := o.produce("r00")
		o.pass(time.Second)
		want := []string{parked[0].String(), parked[1].String(), last.String()}
		if got := o.taken()["r00"]; !slices.Equal(got, want) {
			t.Errorf("taken in %v, want %v", got, want)
		}
		if n := len(o.answered("r00")); n != 3 {
			t.Errorf("%d answers, want one for each cause", n)
		}
		if got := o.retry(parked[0]); !strings.Contains(got, "was taken in") || !strings.Contains(got, "not parked") {
			t.Errorf("a second retry says %q", got)
		}
		if n := len(o.answered("r00")); n != 3 {
			t.Errorf("%d answers after a second retry, want 3", n)
		}
	})
}

func TestAParkedEventThatFailsAgainStaysParkedWithTheNewReason(t *testing.T) {
	inParking(t, func(o operator, _ *switchOf, parked []uuid.UUID) {
		before := o.poison
		o.poison = func(r string) error {
			if err := before(r); err != nil {
				return flow.Unprocessable(errors.New("a kind of tomorrow"))
			}
			return nil
		}
		if got := o.retry(parked[0]); !strings.Contains(got, "failed again, and stays parked: ") || !strings.Contains(got, "a kind of tomorrow") {
			t.Errorf("the answer is %q", got)
		}
		o.wantParked(3, "after a retry in vain")
		if p := o.list()[0]; p.GetAttempts() != 3 || !strings.Contains(p.GetReason(), "a kind of tomorrow") {
			t.Errorf("listed %v, want the third attempt's reason", p)
		}
		if n := len(o.taken()["r00"]); n != 0 {
			t.Errorf("%d rows of an attempt that failed are there", n)
		}
	})
}

func TestASkippedEventIsLeftOutAndThoseBehindItGoOn(t *testing.T) {
	inParking(t, func(o operator, bad *switchOf, parked []uuid.UUID) {
		if got := o.skip(parked[0]); !strings.Contains(got, "was skipped; event "+parked[1].String()+" failed") {
			t.Errorf("the answer is %q", got) // the second is as bad as the first
		}
		o.wantParked(2, "after the skip")
		bad.on.Store(false)
		o.retry(parked[1])
		if got, want := o.taken()["r00"], []string{parked[1].String()}; !slices.Equal(got, want) {
			t.Errorf("taken in %v, want %v", got, want)
		}
		history := strings.Join(o.history(), "\n")
		for _, want := range []string{
			"skip of the parked event " + parked[0].String() + " asked for, by ada: a test order",
			"event " + parked[0].String() + " was skipped",
		} {
			if !strings.Contains(history, want) {
				t.Errorf("the history does not say %q:\n%s", want, history)
			}
		}
	})
}

func TestRequestsThatCannotBeFollowedAreRefused(t *testing.T) {
	inParking(t, func(o operator, _ *switchOf, parked []uuid.UUID) {
		ctx := o.t.Context()
		ask := func(flow, event string) error {
			_, err := o.flows.Retry(ctx, flow, event, "ada", "")
			return err
		}
		skip := func(reason string) error {
			_, err := o.flows.Skip(ctx, tested, parked[0].String(), "ada", reason)
			return err
		}
		tests := map[string]struct{ err, want error }{
			"unknown flow":          {ask("request-state", parked[0].String()), control.ErrUnknownFlow},
			"unknown event":         {ask(tested, uuid.NewString()), control.ErrNotParked},
			"no id":                 {ask(tested, "the first one"), control.ErrNoEventID},
			"of another flow":       {ask("contacts", parked[0].String()), control.ErrNotParked},
			"one that waits":        {ask(tested, parked[1].String()), control.ErrWaits},
			"skip without a reason": {skip(""), control.ErrNoReason},
			"skip with a blank one": {skip(" \t"), control.ErrNoReason},
		}
		for name, tc := range tests {
			if !errors.Is(tc.err, tc.want) {
				t.Errorf("%s: %v, want %v", name, tc.err, tc.want)
			}
		}
		o.wantParked(3, "after all of that")
	})
}

func TestWhatAServiceParksOfItsOwnEventsIsSeenToAsWell(t *testing.T) {
	inBubble(t, func(w *world) {
		w.own = true
		bad := w.bad("r00")
		w.start()
		parked := w.produce("r00")
		w.pass(time.Minute)
		o := operator{w}
		if all := o.list(); len(all) != 1 || all[0].Flow.Name != "own-sales" || all[0].GetEventId() != parked.String() {
			t.Fatalf("listed %v, want the event of own-sales", all)
		}
		bad.on.Store(false)
		request, err := w.flows.Retry(w.t.Context(), "own-sales", parked.String(), "ada", "")
		if err != nil {
			t.Fatal(err)
		}
		answer, err := w.flows.WaitAnswered(w.t.Context(), "own-sales", request)
		if err != nil || answer.GetOutcome() != flowv1.ParkingOutcome_PARKING_OUTCOME_TAKEN_IN {
			t.Errorf("the answer is %v (%v), want that it was taken in", answer, err)
		}
		wantCount(w, 1, "after the retry")
		if all := o.list(); len(all) != 0 {
			t.Errorf("listed %v, want nothing", all)
		}
		if _, err := w.flows.Set(w.t.Context(), "own-sales", flows.Weekly, "ada", ""); !errors.Is(err, control.ErrUnknownFlow) {
			t.Errorf("its cadence can be set (%v)", err)
		}
	})
}

// Who writes to the control stream by other means is answered by the consumer.
func TestTheConsumerAnswersWhatIsAskedInVain(t *testing.T) {
	inParking(t, func(o operator, _ *switchOf, parked []uuid.UUID) {
		for _, event := range []string{uuid.NewString(), parked[1].String(), "", parked[0].String()} {
			outcome := o.outcome(o.askByHand(&flowv1.RetryRequested{Flow: tested, EventId: event, By: "by hand"}), nil)
			want := "was not parked any more"
			switch event {
			case parked[0].String():
				want = "failed again"
			case parked[1].String():
				want = "waits behind " + parked[0].String()
			}
			if !strings.Contains(outcome, want) {
				t.Errorf("%q: %q, want that it %s", event, outcome, want)
			}
		}
		o.wantParked(3, "after all of that")
	})
}

// askByHand writes a request to the control stream, and returns its id.
func (o operator) askByHand(request proto.Message) uuid.UUID {
	o.t.Helper()
	id := uuid.New()
	e, err := o.streams.Codec.Encode(o.t.Context(), request, id, codec.Metadata{Source: "/triangle/control", Time: time.Now()})
	if err != nil {
		o.t.Fatal(err)
	}
	o.append(flows.ControlStream(tested), e)
	return id
}

// Somebody wants to skip an event that waits behind another one, and is told that
// it is left as it is. So it is on a new database, where the other one can be taken
// in.
func TestWhatWasLeftAsItIsStaysSoOnANewDatabase(t *testing.T) {
	inBubble(t, func(w *world) {
		first, second := uuid.New(), uuid.New()
		w.rotten = func(event uuid.UUID) error {
			if event == first || event == second {
				return flow.Unprocessable(errors.New("it is rotten"))
			}
			return nil
		}
		w.set(flows.RealTime)
		w.start()
		w.produceAs(first, "r")
		w.produceAs(second, "r")
		w.pass(time.Minute)
		o := operator{w}
		waits := o.list()[0].Waiting[0]
		skip := &flowv1.SkipRequested{Flow: tested, EventId: second.String(), Position: waits.GetPosition(), By: "by hand", Reason: "it is rotten"}
		if told := o.outcome(o.askByHand(skip), nil); !strings.Contains(told, "waits behind "+first.String()) {
			t.Errorf("told %q, want what it waits behind", told)
		}
		w.stop()
		w.rotten = func(event uuid.UUID) error {
			if event == second {
				return flow.Unprocessable(errors.New("it is rotten"))
			}
			return nil
		}
		w.anew()
		w.start()
		w.pass(time.Minute)
		if parked := parkedRows(w); !slices.Equal(parked, []string{second.String()}) {
			t.Errorf("a new database has parked %v, want %s", parked, second)
		}
	})
}

func TestARequestIsFollowedOnceWhateverIsRepeated(t *testing.T) {
	inParking(t, func(o operator, _ *switchOf, parked []uuid.UUID) {
		o.stop()
		var ids []uuid.UUID
		for range 3 {
			id, err := o.flows.Retry(o.t.Context(), tested, parked[0].String(), "ada", "")
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		if ids[0] != ids[1] || ids[1] != ids[2] {
			t.Errorf("three requests %v, want one, as it is not answered yet", ids)
		}
		o.start()
		o.outcome(ids[0], nil)
		for range 2 { // a process that starts again finds the request in the log again
			o.stop()
			o.start()
			o.pass(time.Minute)
		}
		o.wantParked(3, "after restarts")
		if p := o.list()[0]; p.GetAttempts() != 3 {
			t.Errorf("it has been tried %d times, want 3", p.GetAttempts())
		}
	})
}

func TestWhatIsParkedIsSeenToWhileTheGateIsClosed(t *testing.T) {
	for _, cadence := range []string{flows.Weekly, flows.Paused} {
		t.Run(cadence, func(t *testing.T) {
			inParking(t, func(o operator, bad *switchOf, parked []uuid.UUID) {
				o.set(cadence)
				o.produce("r02")
				o.pass(time.Minute)
				bad.on.Store(false)
				o.retry(parked[0])
				o.wantParked(1, "behind the closed gate")
				wantCount(o.world, 3, "as the retry has opened no gate")
			})
		})
	}
}

func TestAFlowThatParkedTooMuchGoesOnWhenRoomIsMade(t *testing.T) {
	inBubble(t, func(w *world) {
		w.parkMax = 2
		w.bad("r00")
		bad := w.bad("r01")
		w.set(flows.RealTime)
		w.start()
		first := w.produce("r00")
		second := w.produce("r01")
		w.produce("r00") // it has to wait, and there is no room
		w.produce("r02")
		w.pass(time.Minute)
		if err := w.rt.Intake(tested).State().Err; !errors.Is(err, flow.ErrParkedTooMany) {
			t.Fatalf("the flow says %v, want ErrParkedTooMany", err)
		}
		o := operator{w}
		o.wantParked(2, "at the limit")
		bad.on.Store(false)
		o.retry(second)
		o.pass(time.Minute)
		o.wantParked(2, "with the one that had no room")
		wantCount(w, 2, "as the others have gone on")
		o.skip(first)
		o.wantParked(1, "as the second is as bad")
	})
}

// Whoever takes the flow in anew comes to the same, by the same requests.
func TestANewDatabaseComesToTheSameParkedEvents(t *testing.T) {
	inParking(t, func(o operator, _ *switchOf, parked []uuid.UUID) {
		o.skip(parked[0])
		o.produce("r00")
		o.wantParked(3, "before")
		rows, taken := parkedRows(o.world), o.taken()
		o.stop()
		o.anew()
		o.start()
		o.pass(time.Minute)
		if got := parkedRows(o.world); !slices.Equal(got, rows) {
			t.Errorf("parked %v, want %v", got, rows)
		}
		if got := o.taken(); !slices.Equal(got["r00"], taken["r00"]) || !slices.Equal(got["r02"], taken["r02"]) {
			t.Errorf("taken in %v, want %v", got, taken)
		}
	})
}
