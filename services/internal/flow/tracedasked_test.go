package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// wantAlone wants a span to be a root, with so many links.
func wantAlone(t *testing.T, s tracetest.SpanStub, links int) {
	t.Helper()
	if s.Parent.IsValid() || len(s.Links) != links {
		t.Errorf("%s is beneath %s and has %d links, want a root with %d", s.Name, s.Parent.SpanID(), len(s.Links), links)
	}
}

// wantStatus wants a span to have gone well, or to tell of which kind its error is.
func wantStatus(t *testing.T, s tracetest.SpanStub, kind string) {
	t.Helper()
	want := codes.Unset
	if kind != "" {
		want = codes.Error
	}
	if s.Status.Code != want || s.Status.Description != kind || valueOf(s, "error.type") != kind {
		t.Errorf("%s has status %s %q and error.type %q, want %s %q", s.Name, s.Status.Code, s.Status.Description, valueOf(s, "error.type"), want, kind)
	}
}

// sentBeneath returns the types of the events that were appended beneath a span.
func (w watched) sentBeneath(parent tracetest.SpanStub) (types []string) {
	for _, s := range w.seen.GetSpans() {
		if strings.HasPrefix(s.Name, "send ") && s.Parent.SpanID() == parent.SpanContext.SpanID() {
			types = append(types, valueOf(s, "triangle.event.type"))
		}
	}
	return types
}

// wantNoSecrets wants no span to quote an error.
func (w watched) wantNoSecrets() {
	w.t.Helper()
	for _, s := range w.seen.GetSpans() {
		if text := fmt.Sprint(s.Attributes, s.Status, s.Events); strings.Contains(text, "secret") {
			w.t.Errorf("%s tells the text of an error: %s", s.Name, text)
		}
	}
}

// head is where the log ends.
func (w *world) head() *control.Position {
	w.t.Helper()
	for e, err := range w.log.ReadAll(w.t.Context(), eventlog.Backward, nil, 1) {
		if err != nil {
			w.t.Fatal(err)
		}
		return &e.Position
	}
	return nil
}

func TestAnAuditIsToldWithItsOutcome(t *testing.T) {
	behind := func(w *world) control.AuditOf {
		w.produce("r01") // the gate is closed
		return control.AuditOf{To: w.head()}
	}
	for name, tc := range map[string]struct {
		of      func(*world) control.AuditOf
		traced  bool // whether who asks for it is
		err     error
		outcome string
	}{
		"asked for within a trace": {func(*world) control.AuditOf { return control.AuditOf{} }, true, nil, "AUDIT_OUTCOME_COMPARED"},
		"asked for by a command":   {func(*world) control.AuditOf { return control.AuditOf{} }, false, nil, "AUDIT_OUTCOME_COMPARED"},
		"of what is not taken in":  {behind, true, control.ErrNotTakenIn, "AUDIT_OUTCOME_NOT_TAKEN_IN"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(world *world) {
				w := watch(world)
				w.start()
				w.produceIn(traceparent(1, true), "r00")
				w.pass(25 * time.Hour)
				ctx, request := asking(w.t)
				if !tc.traced {
					ctx, request = w.t.Context(), trace.SpanContext{}
				}
				of := tc.of(world)
				w.seen.Reset()
				if _, err := w.flows.Audit(ctx, tested, of, "ada"); !errors.Is(err, tc.err) {
					t.Fatalf("the audit: %v, want %v", err, tc.err)
				}
				w.quiet()
				audit := w.one("audit request-status")
				if tc.traced {
					if audit.Parent.SpanID() != request.SpanID() || audit.Parent.TraceID() != request.TraceID() || len(audit.Links) > 0 {
						t.Errorf("the audit is beneath %s and links %v, want who asked for it, and no links", audit.Parent.SpanID(), audit.Links)
					}
				} else {
					wantAlone(t, audit, 1)
				}
				wantAttributes(t, audit, map[string]string{"triangle.flow": tested, "triangle.epoch": "1", "triangle.outcome": tc.outcome})
				wantStatus(t, audit, "")
				if got := w.sentBeneath(audit); !slices.Equal(got, []string{"flow.AuditCompleted"}) {
					t.Errorf("beneath the audit %q are appended, want what came of it", got)
				}
			})
		})
	}
}

// An audit that fails is tried again, and each try is told.
func TestAnAuditThatFailsIsToldSo(t *testing.T) {
	inBubble(t, func(world *world) {
		w := watch(world)
		var away atomic.Bool
		w.poison = func(string) error {
			if away.Load() {
				return errors.New("secret")
			}
			return nil
		}
		w.start()
		w.produceIn(traceparent(1, true), "r00")
		w.pass(25 * time.Hour)
		w.seen.Reset()
		away.Store(true)
		ctx, request := asking(w.t)
		impatient, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if _, err := w.flows.Audit(impatient, tested, control.AuditOf{}, "ada"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the audit: %v, want no answer", err)
		}
		away.Store(false)
		if _, err := w.flows.Audit(ctx, tested, control.AuditOf{}, "ada"); err != nil {
			t.Fatal(err)
		}
		w.quiet()
		tries := w.named("audit request-status")
		if len(tries) < 2 {
			t.Fatalf("%d tries are told, want those that failed and the last", len(tries))
		}
		for i, s := range tries {
			kind, outcome := "_OTHER", ""
			if i == len(tries)-1 {
				kind, outcome = "", "AUDIT_OUTCOME_COMPARED"
			}
			wantStatus(t, s, kind)
			wantAttributes(t, s, map[string]string{"triangle.outcome": outcome})
			if s.Parent.SpanID() != request.SpanID() {
				t.Errorf("try %d is beneath %s, want who asked for it", i+1, s.Parent.SpanID())
			}
		}
		w.wantNoSecrets()
	})
}

// Only the comparison is told of a shadow: what that takes in would stand in each
// contact's trace a second time.
func TestAComparisonWithAShadowIsToldWithItsOutcome(t *testing.T) {
	for name, tc := range map[string]struct {
		row     func(e codec.Event) string
		outcome string
	}{
		"both came to the same": {func(e codec.Event) string { return e.Stream }, "SHADOW_OUTCOME_EQUAL"},
		"they differ":           {func(e codec.Event) string { return fmt.Sprint(time.Since(e.Created) > time.Hour) }, "SHADOW_OUTCOME_DIFFERENT"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(world *world) {
				w := watch(world)
				w.projecting = func(ctx context.Context, tx *projection.Tx, e codec.Event) error {
					_, err := tx.Exec(ctx, `INSERT INTO seen (event_id, request, ordinal, times) VALUES (?, ?, 0, 1)`, e.ID.String(), tc.row(e))
					return err
				}
				w.startAt(flows.Weekly)
				shadow := w.startShadow(flows.RealTime)
				w.seen.Reset()
				w.produceIn(traceparent(1, true), "r00")
				w.pass(time.Hour)
				if got := names(w.seen.GetSpans()); slices.Contains(got, "process request-status") {
					t.Errorf("what the shadow takes in is told: %q", got)
				}
				w.pass(week)
				compare := w.one("compare request-status")
				wantAlone(t, compare, 0)
				wantAttributes(t, compare, map[string]string{"triangle.flow": tested, "triangle.epoch": "2", "triangle.shadow": shadow, "triangle.outcome": tc.outcome})
				wantStatus(t, compare, "")
				if got := w.sentBeneath(compare); !slices.Equal(got, []string{"flow.ShadowCompared"}) {
					t.Errorf("beneath the comparison %q are appended, want what came of it", got)
				}
			})
		})
	}
}

func TestARebuildOfTablesIsTold(t *testing.T) {
	for name, tc := range map[string]struct {
		fault error  // of the fold, for a while
		kind  string // of the tries that fail
	}{
		"at once":                 {nil, ""},
		"after some have failed":  {errors.New("secret"), "_OTHER"},
		"after it was broken off": {context.Canceled, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(world *world) {
				w := watch(world)
				var away atomic.Bool
				w.poison = func(string) error {
					if away.Load() {
						return tc.fault
					}
					return nil
				}
				w.set(flows.RealTime)
				w.start()
				w.produceIn(traceparent(1, true), "r00")
				w.quiet()
				w.seen.Reset()
				away.Store(tc.fault != nil)
				w.restartAs(richer)
				w.pass(time.Minute)
				away.Store(false)
				w.pass(time.Minute)

				rebuilds := w.named("rebuild request-status")
				if len(rebuilds) == 0 || (len(rebuilds) > 1) != (tc.fault != nil) {
					t.Fatalf("%d rebuilds are told: %q", len(rebuilds), names(w.seen.GetSpans()))
				}
				for i, s := range rebuilds {
					wantAlone(t, s, 0)
					wantAttributes(t, s, map[string]string{
						"triangle.flow": tested, "triangle.epoch": "", "triangle.projection": "seen", "triangle.projection.version": "2",
					})
					last := i == len(rebuilds)-1
					switch {
					case last:
						wantStatus(t, s, "")
					case tc.kind != "":
						wantStatus(t, s, tc.kind)
					case s.Status.Code != codes.Unset || valueOf(s, "error.type") != "canceled":
						t.Errorf("a rebuild that was broken off tells %v", s.Status)
					}
				}
				if got := w.named("process request-status"); len(got) > 0 {
					t.Errorf("what is folded once more is told as %d deliveries", len(got))
				}
				w.wantNoSecrets()
			})
		})
	}
}

func TestAParkedEventThatIsSkippedIsTold(t *testing.T) {
	for name, traced := range map[string]bool{"within a trace": true, "by a command": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(world *world) {
				w := watch(world)
				w.set(flows.RealTime)
				bad := true
				w.poison = func(string) error {
					if bad {
						return flow.Unprocessable(errors.New("secret"))
					}
					return nil
				}
				w.start()
				first, second := w.produceIn(traceparent(1, true), "r00"), w.produceIn(traceparent(2, true), "r00")
				w.pass(time.Hour)
				w.seen.Reset()
				bad = false
				ctx, request := w.t.Context(), trace.SpanContext{}
				if traced {
					ctx, request = asking(w.t)
				}
				if _, err := w.flows.Skip(ctx, tested, first.String(), "ada", "secret"); err != nil {
					t.Fatal(err)
				}
				w.pass(time.Hour)

				skip := w.one("skip request-status")
				if traced && (skip.Parent.SpanID() != request.SpanID() || skip.Parent.TraceID() != request.TraceID() || len(skip.Links) > 0) {
					t.Errorf("the skip is beneath %s and links %v, want who asked for it", skip.Parent.SpanID(), skip.Links)
				}
				if !traced {
					wantAlone(t, skip, 1)
				}
				wantAttributes(t, skip, map[string]string{
					"messaging.message.id": first.String(), "triangle.event.type": "sales.RequestStatusChanged", "triangle.flow": tested, "triangle.epoch": "2",
				})
				if valueOf(skip, "triangle.event.position.commit") == "" {
					t.Error("the skip does not tell where its event stands")
				}
				wantStatus(t, skip, "")
				// Whoever waited behind it goes on in its own trace.
				behind := w.one("retry request-status")
				wantAttributes(t, behind, map[string]string{"messaging.message.id": second.String()})
				if behind.Parent.SpanID().String() != "000000000000b002" {
					t.Errorf("the event behind is beneath %s, want its own append", behind.Parent.SpanID())
				}
				w.wantNoSecrets()
			})
		})
	}
}
