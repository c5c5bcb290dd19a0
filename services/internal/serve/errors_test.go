package serve_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/serve"
)

const secret = "jane.doe@example.org"

var errOfDomain = errors.New("the idempotency key was used for another call")

// failures are the errors that a handler may return, and what becomes of them.
var failures = map[string]struct {
	err        error
	code       codes.Code
	http       int
	reason     string
	detail     string // "" : any
	violations []violation
}{
	"invalid": {
		err:  fault.Invalid(fault.Field("contact_id", "is no id"), fault.Field("wait", "is over 10s")),
		code: codes.InvalidArgument, http: 400, reason: "INVALID_ARGUMENT", detail: "contact_id is no id; wait is over 10s",
		violations: []violation{{"contact_id", "is no id"}, {"wait", "is over 10s"}},
	},
	"not found": {
		err:  fmt.Errorf("get: %w", fault.NotFound("contact %s is not there", "c9").Because(errors.New(secret))),
		code: codes.NotFound, http: 404, reason: "NOT_FOUND", detail: "contact c9 is not there",
	},
	"precondition, with a reason": {
		err:  fault.Precondition("contact c9 has ended").WithReason("CONTACT_ENDED"),
		code: codes.FailedPrecondition, http: 409, reason: "CONTACT_ENDED", detail: "contact c9 has ended",
	},
	"conflict": {
		err:  fault.Conflict("customer k1 is there already"),
		code: codes.AlreadyExists, http: 409, reason: "ALREADY_EXISTS", detail: "customer k1 is there already",
	},
	"too large": {
		err:  fault.TooLarge("the text is over 4,000 characters"),
		code: codes.ResourceExhausted, http: 413, reason: "TOO_LARGE", detail: "the text is over 4,000 characters",
	},
	"away": {
		err:  fault.Unavailable("the back office is away"),
		code: codes.Unavailable, http: 503, reason: "UNAVAILABLE", detail: "the back office is away",
	},
	"store away": {
		err:  fmt.Errorf("append %s: %w", secret, eventlog.ErrUnavailable),
		code: codes.Unavailable, http: 503, reason: "STORE_UNAVAILABLE",
	},
	"append too large": {
		err:  fmt.Errorf("append %s: %w", secret, eventlog.ErrTooLarge),
		code: codes.ResourceExhausted, http: 413, reason: "TOO_LARGE",
	},
	"who was erased": {
		err:  fmt.Errorf("seal for %s: %w", secret, keyring.ErrDestroyed),
		code: codes.FailedPrecondition, http: 409, reason: "PERSON_ERASED",
	},
	"contention": {
		err:  fmt.Errorf("append %s: %w", secret, eventlog.ErrWrongRevision),
		code: codes.Aborted, http: 409, reason: "CONTENTION",
	},
	"database gone": {
		err:  fmt.Errorf("select %s: %w", secret, driver.ErrBadConn),
		code: codes.Unavailable, http: 503, reason: "UNAVAILABLE",
	},
	"database refuses": {
		err:  fmt.Errorf("select %s: %w", secret, &net.OpError{Op: "dial", Err: errors.New("connection refused")}),
		code: codes.Unavailable, http: 503, reason: "UNAVAILABLE",
	},
	"own deadline": {
		err:  fmt.Errorf("read %s: %w", secret, context.DeadlineExceeded),
		code: codes.DeadlineExceeded, http: 504, reason: "DEADLINE_EXCEEDED",
	},
	"the service's own end": {
		err:  fmt.Errorf("read %s: %w", secret, context.Canceled),
		code: codes.Unavailable, http: 503, reason: "UNAVAILABLE",
	},
	"translated": {
		err:  fmt.Errorf("start: %w", errOfDomain),
		code: codes.AlreadyExists, http: 409, reason: "IDEMPOTENCY_KEY_REUSED", detail: "the key was used for another call",
	},
	"anything else": {
		err:  errors.New("no such table for " + secret),
		code: codes.Internal, http: 500, reason: "INTERNAL",
	},
	"a status from elsewhere": {
		err:  status.Error(codes.PermissionDenied, "not for "+secret),
		code: codes.Internal, http: 500, reason: "INTERNAL",
	},
	"a fault without a kind": {
		err:  &fault.Error{Message: secret},
		code: codes.Internal, http: 500, reason: "INTERNAL",
	},
	"a text that is no UTF-8": {
		err:  fault.NotFound("contact \xff is not there"),
		code: codes.NotFound, http: 404, reason: "NOT_FOUND", detail: "contact \uFFFD is not there",
	},
}

type violation struct{ Field, Description string }

func translate(err error) error {
	if errors.Is(err, errOfDomain) {
		return fault.Conflict("the key was used for another call").WithReason("IDEMPOTENCY_KEY_REUSED").Because(err)
	}
	return err
}

func TestErrorsAreMappedAlikeOnBothPorts(t *testing.T) {
	a := &api{get: func(_ context.Context, req *channelv1.GetContactRequest) (*channelv1.GetContactResponse, error) {
		return nil, failures[strings.ReplaceAll(req.GetContactId(), "_", " ")].err
	}}
	s := run(t, a, func(o *serve.Options) { o.Translate = translate })
	for name, tc := range failures {
		t.Run(name, func(t *testing.T) {
			id := strings.ReplaceAll(name, " ", "_")
			_, err := s.grpc.GetContact(t.Context(), &channelv1.GetContactRequest{ContactId: id})
			got := readStatus(t, err)
			if got.code != tc.code || got.reason != tc.reason {
				t.Errorf("gRPC: %s %s, want %s %s", got.code, got.reason, tc.code, tc.reason)
			}
			if diff := cmp.Diff(tc.violations, got.violations); diff != "" {
				t.Errorf("gRPC: %s", diff)
			}

			rest := s.do("GET", "/v1/contacts/"+id, "")
			p := readProblem(t, rest)
			if rest.code != tc.http || p.Status != tc.http || (tc.reason != "" && p.Reason != tc.reason) {
				t.Errorf("REST: %d %+v, want %d %s", rest.code, p, tc.http, tc.reason)
			}
			if diff := cmp.Diff(tc.violations, p.Violations); diff != "" {
				t.Errorf("REST: %s", diff)
			}
			if tc.detail != "" && (p.Detail != tc.detail || got.message != tc.detail) {
				t.Errorf("detail %q, message %q, want %q", p.Detail, got.message, tc.detail)
			}
			if strings.Contains(rest.body, secret) || strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("the answer gives away what is within: %s, %v", rest.body, err)
			}
		})
	}
}

func TestAnInternalErrorIsFoundInTheLogByItsReference(t *testing.T) {
	a := &api{get: func(context.Context, *channelv1.GetContactRequest) (*channelv1.GetContactResponse, error) {
		return nil, errors.New("no such table: contacts")
	}}
	s := run(t, a)
	p := readProblem(t, s.do("GET", "/v1/contacts/c1", "", "traceparent", parent))
	if p.Reference == "" || !strings.Contains(p.Detail, p.Reference) {
		t.Fatalf("no reference in %+v", p)
	}
	_, err := s.grpc.GetContact(t.Context(), &channelv1.GetContactRequest{ContactId: "c1"})
	if got := readStatus(t, err); got.reference == "" || got.reference == p.Reference {
		t.Errorf("references %q and %q", got.reference, p.Reference)
	}
	lines := s.logs.lines(t, "call failed")
	if len(lines) != 2 {
		t.Fatalf("%d lines", len(lines))
	}
	for key, want := range map[string]any{
		"reference": p.Reference, "error": "no such table: contacts", "level": "ERROR", "service": "channel",
		"method": "/channel.v1.ChannelService/GetContact", "trace_id": traceID,
	} {
		if lines[0][key] != want {
			t.Errorf("%s is %v, want %v", key, lines[0][key], want)
		}
	}
}

func TestAPanicIsInternalAndTheProcessLives(t *testing.T) {
	a := &api{get: func(context.Context, *channelv1.GetContactRequest) (*channelv1.GetContactResponse, error) {
		panic("nobody thought of this")
	}}
	s := run(t, a)
	_, err := s.grpc.GetContact(t.Context(), &channelv1.GetContactRequest{ContactId: "c1"})
	if got := readStatus(t, err); got.code != codes.Internal || strings.Contains(got.message, "thought") {
		t.Errorf("gRPC: %+v", got)
	}
	if rest := s.do("GET", "/v1/contacts/c1", ""); rest.code != 500 || strings.Contains(rest.body, "thought") {
		t.Errorf("REST: %d %s", rest.code, rest.body)
	}
	for _, line := range s.logs.lines(t, "call failed") {
		stack, _ := line["stack"].(string)
		if line["error"] != "panic: nobody thought of this" || !strings.Contains(stack, "errors_test.go") {
			t.Errorf("logged %v", line)
		}
	}
	if rest := s.do("POST", "/v1/contacts", "{}", "Idempotency-Key", "k"); rest.code != 200 {
		t.Errorf("after the panic: %d %s", rest.code, rest.body)
	}
}

func TestAnUnimplementedMethodSaysSo(t *testing.T) {
	s := run(t, &api{})
	_, err := s.grpc.EndContact(withKey(t.Context(), "k"), &channelv1.EndContactRequest{ContactId: "c1"})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("gRPC: %v", err)
	}
	if rest := s.do("POST", "/v1/contacts/c1/end", "{}", "Idempotency-Key", "k"); rest.code != 501 {
		t.Errorf("REST: %d %s", rest.code, rest.body)
	}
}

// grpcError is what a gRPC caller reads from a status.
type grpcError struct {
	code                       codes.Code
	message, reason, reference string
	violations                 []violation
}

func readStatus(t testing.TB, err error) grpcError {
	t.Helper()
	s, ok := status.FromError(err)
	if !ok || err == nil {
		t.Fatalf("%v is no status", err)
	}
	got := grpcError{code: s.Code(), message: s.Message()}
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() != "triangle.dev" {
				t.Errorf("domain %q", d.GetDomain())
			}
			got.reason, got.reference = d.GetReason(), d.GetMetadata()["reference"]
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				got.violations = append(got.violations, violation{v.GetField(), v.GetDescription()})
			}
		}
	}
	return got
}
