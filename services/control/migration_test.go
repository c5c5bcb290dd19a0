package control_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/control/migration"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
)

// announced is a flow that no program was built with.
var announced = flows.Flow{
	Name: "stock-levels", From: flows.Sales, To: flows.Marketing, Types: []string{"sales.StockChanged"}, Key: []string{"product"}, Cadence: flows.Weekly,
}

// desk is a store, and somebody who steers flows.
type desk struct {
	t     *testing.T
	log   *memory.Log
	flows *control.Flows
}

func newDesk(t *testing.T) desk {
	t.Helper()
	log := memory.New(memory.Options{})
	steered, err := control.New(log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := steered.Close(); err != nil {
			t.Error(err)
		}
	})
	return desk{t, log, steered.In(func(name string) (flows.Flow, bool) { return announced, name == announced.Name })}
}

func (d desk) follow(s *migration.State) {
	d.t.Helper()
	if err := d.flows.FollowMigration(d.t.Context(), s, true); err != nil {
		d.t.Fatal(err)
	}
}

func (d desk) record(s *migration.State, m proto.Message) {
	d.t.Helper()
	if err := d.flows.Record(d.t.Context(), s, "operator", m); err != nil {
		d.t.Fatal(err)
	}
	d.follow(s)
}

func (d desk) raw(stream, kind, data string) {
	d.t.Helper()
	metadata := `{"specversion":"1.0","id":"1","source":"/x","type":"` + kind + `","dataschema":"flow.v1.` + kind[len("flow."):] + `"}`
	e := eventlog.NewEvent{ID: uuid.New(), Type: kind, Data: []byte(data), Metadata: []byte(metadata)}
	if _, err := d.log.Append(d.t.Context(), stream, eventlog.Any, e); err != nil {
		d.t.Fatal(err)
	}
}

func planned(generation int64) *flowv1.MigrationPlanned {
	return &flowv1.MigrationPlanned{Flow: announced.Name, Plan: "9f2c", By: "operator", Object: "shop/stock", ObjectUid: "one", Generation: generation}
}

// A flow that services announce, and that this program was not built with, is
// managed as any other.
func TestAnAnnouncedFlowIsManaged(t *testing.T) {
	d := newDesk(t)
	s := migration.New(announced)
	d.follow(s)
	if s.Cadence != flows.Weekly || s.Plan != nil || !s.Settled() {
		t.Errorf("the flow runs %s, planned by %v; want weekly and nobody", s.Cadence, s.Plan)
	}
	d.record(s, planned(1))
	if _, err := d.flows.Set(t.Context(), announced.Name, flows.Daily, "ada", ""); !errors.Is(err, control.ErrManaged) {
		t.Errorf("set it: %v, want ErrManaged", err)
	}
	if _, err := d.flows.Set(t.Context(), announced.Name, flows.Weekly, "ada", ""); err != nil {
		t.Errorf("set it to what it runs at: %v", err)
	}
	if _, err := d.flows.BreakGlass(t.Context(), announced.Name, flows.Daily, "ada", "it burns"); err != nil {
		t.Error(err)
	}
	d.follow(s)
	if s.Foreign == nil || s.Foreign.By != "ada" || s.Foreign.Move != flowv1.CadenceMove_CADENCE_MOVE_BREAK_GLASS {
		t.Errorf("somebody else's request is %v, want ada's", s.Foreign)
	}
	if _, err := d.flows.Set(t.Context(), "contacts", flows.Daily, "ada", ""); !errors.Is(err, control.ErrUnknownFlow) {
		t.Errorf("set a flow that nobody announces: %v, want ErrUnknownFlow", err)
	}
}

// What a newer program wrote is not passed over, be it an event, a value, or
// something that can't be read.
func TestWhatIsNotUnderstoodIsRemembered(t *testing.T) {
	for what, tc := range map[string]struct{ kind, data string }{
		"an event":            {"flow.MigrationBlessed", `{}`},
		"a value":             {"flow.MigrationHeld", `{"flow":"stock-levels","plan":"9f2c","cause":"HOLD_CAUSE_FULL_MOON"}`},
		"a value by a number": {"flow.MigrationSteered", `{"flow":"stock-levels","plan":"9f2c","action":99}`},
		"a move of a plan":    {"flow.CadenceRequested", `{"flow":"stock-levels","epoch":"2","cadence":"realtime","plan":"9f2c","move":"CADENCE_MOVE_SIDEWAYS"}`},
		"a broken event":      {"flow.CadenceRequested", `{"epoch":"many"}`},
	} {
		t.Run(what, func(t *testing.T) {
			d := newDesk(t)
			s := migration.New(announced)
			d.record(s, planned(1))
			d.raw(flows.ControlStream(announced.Name), tc.kind, tc.data)
			d.follow(s)
			if s.Unknown == "" {
				t.Error("it was passed over")
			}
			t.Log(s.Unknown)
		})
	}
}

// An approval counts once: neither under another plan and back, nor for an object that
// is made again with the same steps.
func TestWhatCountedIsRememberedWhateverIsPlanned(t *testing.T) {
	again := &flowv1.MigrationPlanned{Flow: announced.Name, Plan: "9f2c", By: "operator", Object: "shop/stock", ObjectUid: "two", Generation: 1}
	another := &flowv1.MigrationPlanned{Flow: announced.Name, Plan: "ab01", By: "operator", Object: "shop/stock", ObjectUid: "one", Generation: 2}
	for what, then := range map[string][]proto.Message{
		"the object is made again": {&flowv1.MigrationEnded{Flow: announced.Name, ObjectUid: "one"}, again},
		"another plan, and back":   {another, planned(3)},
	} {
		t.Run(what, func(t *testing.T) {
			d := newDesk(t)
			s := migration.New(announced)
			for _, m := range append([]proto.Message{
				planned(1),
				&flowv1.ApprovalAwaited{Flow: announced.Name, Plan: "9f2c", Step: "daily"},
				&flowv1.ApprovalCounted{Flow: announced.Name, Plan: "9f2c", Step: "daily", Approval: "yes", ApprovalUid: "u-1", By: "ada"},
			}, then...) {
				d.record(s, m)
			}
			if !slices.Equal(s.Counted, []string{"u-1"}) || s.Approval != nil {
				t.Errorf("counted have %v, and what is awaited is %+v; want u-1, and nothing yet", s.Counted, s.Approval)
			}
		})
	}
}

// Read bit by bit, at any place, or in one go, a state is the same.
func TestAStateIsTheSameHoweverItIsRead(t *testing.T) {
	d := newDesk(t)
	bit := migration.New(announced)
	d.record(bit, planned(1))
	d.record(bit, &flowv1.ShadowRequested{Flow: announced.Name, Cadence: flows.Daily, By: "operator"})
	d.record(bit, &flowv1.ShadowStarted{Flow: announced.Name, ShadowId: bit.Shadow.ID, Cadence: flows.Daily})
	if err := d.flows.RecordComparison(t.Context(), bit, "operator"); err != nil {
		t.Fatal(err)
	}
	d.follow(bit)
	d.write(flows.ShadowStream(announced.Name, bit.Shadow.ID), &flowv1.ShadowCompared{
		MarkerId: bit.Shadow.Waiting, Outcome: flowv1.ShadowOutcome_SHADOW_OUTCOME_EQUAL,
	})
	d.write(flows.ProgressStream(announced.Name), &flowv1.FlowProgressed{Flow: announced.Name, Epoch: 1})
	d.write(flows.FreshnessStream(announced.Name), &flowv1.FreshnessMeasured{Flow: announced.Name, Epoch: 1, Since: timestamppb.Now()})
	d.follow(bit)
	d.record(bit, &flowv1.GateJudged{Flow: announced.Name, Plan: "9f2c", Epoch: 1, Gate: "lag", Result: flowv1.GateVerdict_GATE_VERDICT_PASS})
	whole := migration.New(announced)
	d.follow(whole)
	if !reflect.DeepEqual(describe(bit), describe(whole)) {
		t.Errorf("bit by bit it is\n%+v\nin one go\n%+v", describe(bit), describe(whole))
	}
	if bit.Shadow.Equal != 1 || bit.Shadow.Waiting != "" || len(bit.Hours) != 1 || bit.Progress == nil || len(bit.Gates) != 1 {
		t.Errorf("the state lacks something: %+v", bit)
	}
}

// describe is a state without pointers to messages.
func describe(s *migration.State) any {
	return []any{s.Flow, s.Next, s.NextProgress, s.NextHour, s.Epoch, s.Cadence, *s.Shadow, s.Gates, s.Attempt, s.Plan.At, s.ToldAt, len(s.Hours), s.Unknown}
}

func (d desk) write(stream string, m proto.Message) {
	d.t.Helper()
	c, err := codec.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	e, err := c.Encode(d.t.Context(), m, uuid.New(), codec.Metadata{Source: "/test", Time: time.Now()})
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.log.Append(d.t.Context(), stream, eventlog.Any, e); err != nil {
		d.t.Fatal(err)
	}
}

// While nobody watches the clocks stand still: whoever comes next says so, once,
// whoever else was killed in between.
func TestLapsesAreRecordedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		beat := func(w *control.Watch) {
			t.Helper()
			if err := w.Beat(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		one := d.flows.Watch("operator-0")
		for range 4 {
			beat(one)
			<-time.After(control.WatchEvery)
		}
		if len(one.Lapses) != 0 || time.Since(one.Until) != control.WatchEvery {
			t.Errorf("lapses %v until %s, want none until half a minute ago", one.Lapses, one.Until)
		}
		down := one.Until
		<-time.After(2 * time.Hour)
		two := d.flows.Watch("operator-1")
		beat(two)
		if len(two.Lapses) != 1 || !two.Lapses[0].From.Equal(down) || !two.Lapses[0].Until.Equal(two.Until) {
			t.Fatalf("lapses %v, want one from %s", two.Lapses, down)
		}
		// The first one comes back, and finds out that it is not the only one.
		if err := one.Beat(t.Context()); err != nil || len(one.Lapses) != 1 {
			t.Errorf("back again: %v, lapses %v; want what the other one has said", err, one.Lapses)
		}
		// One that was killed before it could say so leaves it to the next one.
		<-time.After(time.Hour)
		d.write(flows.OperatorStream, &flowv1.MigrationsWatched{Instance: "operator-2"})
		three := d.flows.Watch("operator-3")
		beat(three)
		beat(three)
		if len(three.Lapses) != 2 {
			t.Errorf("lapses %v, want two", three.Lapses)
		}
		state := migration.New(announced)
		if got := state.Watched(down, three.Until, three.Lapses); got != 0 {
			t.Errorf("%s of three hours count as watched, want nothing", got)
		}
	})
}
