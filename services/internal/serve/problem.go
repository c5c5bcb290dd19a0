package serve

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// problem is how REST tells of an error: RFC 9457.
type problem struct {
	Type       string      `json:"type"`
	Title      string      `json:"title"`
	Status     int         `json:"status"`
	Detail     string      `json:"detail"`
	Instance   string      `json:"instance"`
	Violations []violation `json:"violations,omitempty"`
	Reason     string      `json:"reason"`              // a constant, for programs
	TraceID    string      `json:"trace_id,omitempty"`  // the trace to look at
	Reference  string      `json:"reference,omitempty"` // what to look for in the log
}

type violation struct {
	Field       string `json:"field"`
	Description string `json:"description"`
}

// statusCancelled is what servers call a request whose caller has gone.
const statusCancelled = 499

// httpStatus differs from the gateway's own table where that would mislead: a
// state that forbids a call conflicts with it, and all that is exhausted here is
// the size of a request.
func httpStatus(code codes.Code) int {
	switch code {
	case codes.FailedPrecondition:
		return http.StatusConflict
	case codes.ResourceExhausted:
		return http.StatusRequestEntityTooLarge
	case codes.Canceled:
		return statusCancelled
	default:
		return runtime.HTTPStatusFromCode(code)
	}
}

func title(code int) string {
	if code == statusCancelled {
		return "Client Closed Request"
	}
	return http.StatusText(code)
}

// problemOf reads a problem from the status of a call. Where a request could not be
// read, unread, if given, completes it.
func problemOf(err error, unread ...func(*problem)) problem {
	s := status.Convert(err)
	p := problem{Status: httpStatus(s.Code()), Detail: s.Message()}
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			p.Reason, p.Reference = d.GetReason(), d.GetMetadata()["reference"]
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				p.Violations = append(p.Violations, violation{v.GetField(), v.GetDescription()})
			}
		}
	}
	if p.Reason == "" {
		p.explain(s)
		for _, complete := range unread {
			complete(&p)
		}
	}
	return p
}

// explain words a status that no edge has written, but gRPC or the gateway
// itself.
func (p *problem) explain(s *status.Status) {
	switch s.Code() {
	case codes.InvalidArgument:
		p.Reason = "INVALID_ARGUMENT"
		p.Detail, p.Violations = explainDecoding(s.Message())
	case codes.ResourceExhausted:
		p.Reason, p.Detail = "TOO_LARGE", "the request is larger than the service accepts"
	case codes.DeadlineExceeded:
		p.Reason, p.Detail = "DEADLINE_EXCEEDED", "the call did not end in time"
	case codes.Canceled:
		p.Reason, p.Detail = "CANCELLED", "the caller gave the call up"
	case codes.Unavailable:
		p.Reason, p.Detail = "UNAVAILABLE", "the service is stopping; repeat the call with its idempotency key"
	case codes.Unimplemented:
		p.Reason, p.Detail = "UNIMPLEMENTED", "the service does not offer this yet"
	default:
		p.Reason, p.Detail = "INTERNAL", "something went wrong within the service"
	}
}

// What the JSON decoder and the gateway say of a value, as their errors reach
// the error handler as text alone.
var (
	decoderName  = regexp.MustCompile(`^proto:[\s\x{a0}]*`) // its space changes from build to build, by intent
	unknownField = regexp.MustCompile(`\(line (\d+):(\d+)\): unknown field "([^"]*)"`)
	twiceGiven   = regexp.MustCompile(`\(line (\d+):(\d+)\): duplicate field "([^"]*)"`)
	wrongValue   = regexp.MustCompile(`\(line (\d+):(\d+)\): invalid value for \w+ (?:field|type) ([^\s:]+): (.*)`)
	wrongForm    = regexp.MustCompile(`\(line (\d+):(\d+)\): invalid (\S+) value (.*)`)
	wrongPlace   = regexp.MustCompile(`^syntax error \(line (\d+):(\d+)\): (.*)`)
	wrongParam   = regexp.MustCompile(`^(?:type mismatch, parameter: |parsing field "|parsing list ")([^",]+)(?:, error: |": )(.*)`)
)

// explainDecoding says where a request can't be read, and names the field if
// there is one to name.
func explainDecoding(message string) (detail string, violations []violation) {
	message = decoderName.ReplaceAllString(message, "")
	at := func(m []string) string { return "line " + m[1] + ", column " + m[2] + ": " }
	if m := unknownField.FindStringSubmatch(message); m != nil {
		return at(m) + `the request has no field "` + m[3] + `"`, []violation{{m[3], "is no field of the request"}}
	}
	if m := twiceGiven.FindStringSubmatch(message); m != nil {
		return at(m) + `the field "` + m[3] + `" is given twice`, []violation{{m[3], "is given twice"}}
	}
	if m := wrongValue.FindStringSubmatch(message); m != nil {
		return at(m) + `the field "` + m[3] + `" can't be ` + m[4], []violation{{m[3], "can't be " + m[4]}}
	}
	if m := wrongForm.FindStringSubmatch(message); m != nil {
		return at(m) + "the " + m[3] + " can't be " + m[4], nil // the decoder does not say of which field
	}
	if m := wrongParam.FindStringSubmatch(message); m != nil {
		return `the parameter "` + m[1] + `" can't be read: ` + m[2], []violation{{m[1], "can't be read: " + m[2]}}
	}
	if m := wrongPlace.FindStringSubmatch(message); m != nil {
		return "the body can't be read as JSON of the request, at " + at(m) + strings.TrimSpace(m[3]), nil
	}
	return "the request can't be read: " + message, nil
}

// refuse answers with a problem.
func refuse(w http.ResponseWriter, r *http.Request, status int, reason, detail string) {
	problem{Status: status, Reason: reason, Detail: detail}.write(w, r)
}

// write answers r with the problem.
func (p problem) write(w http.ResponseWriter, r *http.Request) {
	p.Type = "urn:triangle:problem:" + strings.ReplaceAll(strings.ToLower(p.Reason), "_", "-")
	p.Title, p.Instance = title(p.Status), r.URL.EscapedPath()
	span := trace.SpanFromContext(r.Context())
	if sc := span.SpanContext(); sc.IsValid() {
		p.TraceID = sc.TraceID().String()
	}
	span.SetAttributes(attribute.Int("http.response.status_code", p.Status))
	if p.Status >= http.StatusInternalServerError {
		span.SetStatus(otelcodes.Error, p.Reason)
	}
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, p.Status, "application/problem+json", p)
}
