package serve_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/internal/serve"
)

// problem is what a REST caller reads from an error.
type problem struct {
	Type, Title      string
	Status           int
	Detail, Instance string
	Violations       []violation
	Reason           string
	TraceID          string `json:"trace_id"`
	Reference        string
}

// readProblem checks what every problem has.
func readProblem(t testing.TB, a answer) problem {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q of %q", got, a.body)
	}
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
	if p.Status != a.code || !strings.HasPrefix(p.Type, "urn:triangle:problem:") || p.Title == "" || p.Detail == "" || p.Instance == "" {
		t.Errorf("problem %+v with status %d", p, a.code)
	}
	if p.TraceID != "" && !strings.Contains(a.header.Get("Traceparent"), p.TraceID) {
		t.Errorf("trace %s, but traceparent %s", p.TraceID, a.header.Get("Traceparent"))
	}
	return p
}

func TestRequestsThatCantBeReadAreProblems(t *testing.T) {
	s := run(t, &api{})
	const channels = "CHANNEL_WEBSITE, CHANNEL_EMAIL, CHANNEL_CALL_CENTRE, CHANNEL_BRANCH, CHANNEL_PRINT"
	cases := map[string]struct {
		method, path, body string
		code               int
		detail             string // contained
		violations         []violation
		allow              string
	}{
		"unknown path":                 {"GET", "/v1/nothing", "", 404, "/openapi.json lists the paths", nil, ""},
		"the root":                     {"GET", "/", "", 404, "there is nothing at this path", nil, ""},
		"wrong method":                 {"DELETE", "/v1/contacts/c1", "", 405, "takes GET, HEAD, not DELETE", nil, "GET, HEAD"},
		"wrong method of a collection": {"GET", "/v1/contacts", "", 405, "takes POST, not GET", nil, "POST"},
		"wrong method of a probe":      {"POST", "/healthz", "", 405, "takes GET, HEAD, not POST", nil, "GET, HEAD"},
		"malformed":                    {"POST", "/v1/contacts", "{\n \"channel\": }", 400, "line 2, column 13", nil, ""},
		"cut short":                    {"POST", "/v1/contacts", `{"visitorId": "v`, 400, "can't be read", nil, ""},
		"something behind it":          {"POST", "/v1/contacts", `{} {}`, 400, "line 1, column 4", nil, ""},
		"no object":                    {"POST", "/v1/contacts", `[]`, 400, "line 1, column 1", nil, ""},
		"unknown field": {
			"POST", "/v1/contacts", "{\"visitorId\": \"v1\",\n\"visitor\": 1}", 400, `line 2, column 1: the request has no field "visitor"`,
			[]violation{{"visitor", "is no field of the request"}},
			"",
		},
		"unknown field within": {
			"POST", "/v1/contacts", `{"claims": {"mail": "x"}}`, 400, `no field "mail"`,
			[]violation{{"mail", "is no field of the request"}},
			"",
		},
		"field given twice": {
			"POST", "/v1/contacts", `{"visitorId": "a", "visitorId": "b"}`, 400, "given twice",
			[]violation{{"visitorId", "is given twice"}},
			"",
		},
		"wrong enum": {
			"POST", "/v1/contacts", `{"channel": "PIGEON"}`, 400, `can't be "PIGEON"; it is one of CHANNEL_WEBSITE, `,
			[]violation{{"channel", `can't be "PIGEON"; it is one of ` + channels}},
			"",
		},
		"wrong enum in a query": {
			"GET", "/v1/messages?channel=PIGEON", "", 400, "it is one of CHANNEL_WEBSITE, ",
			[]violation{{"channel", `can't be read: "PIGEON" is not a valid value; it is one of ` + channels}},
			"",
		},
		"wrong number of an enum in a query": {
			"GET", "/v1/messages?callState=77", "", 400, "it is one of CALL_STATE_WAITING, CALL_STATE_TAKEN",
			[]violation{{"call_state", `can't be read: "77" is not a valid value; it is one of CALL_STATE_WAITING, CALL_STATE_TAKEN, CALL_STATE_REACHED, CALL_STATE_NOT_REACHED`}},
			"",
		},
		"wrong type": {
			"POST", "/v1/contacts", `{"visitorId": 7}`, 400, "line 1, column 15",
			[]violation{{"visitorId", "can't be 7"}},
			"",
		},
		"wrong duration": {
			"POST", "/v1/contacts", `{"wait": "soon"}`, 400, `line 1, column 10: the google.protobuf.Duration can't be "soon"`, nil, "",
		},
		"unknown parameter": {
			"GET", "/v1/messages?chanel=1&pageSize=3&page_size=3", "", 400, `no parameter "chanel"`,
			[]violation{{"chanel", "is no parameter of the request"}},
			"",
		},
		"parameter of a wrong type": {
			"GET", "/v1/messages?page_size=many", "", 400, `"page_size" can't be read`,
			[]violation{{"page_size", `can't be read: strconv.ParseUint: parsing "many": invalid syntax`}},
			"",
		},
		"parameter with a body": {
			"POST", "/v1/contacts?visitorId=v1", "{}", 400, `no parameter "visitorId"`,
			[]violation{{"visitorId", "is no parameter of the request"}},
			"",
		},
		"wrong grpc-timeout": {"GET", "/v1/contacts/c1", "", 400, "timeout", nil, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			headers := []string{"Idempotency-Key", "k1"}
			if name == "wrong grpc-timeout" {
				headers = append(headers, "Grpc-Timeout", "soon")
			}
			got := s.do(tc.method, tc.path, tc.body, headers...)
			p := readProblem(t, got)
			if got.code != tc.code || !strings.Contains(p.Detail, tc.detail) {
				t.Errorf("%d %q, want %d %q", got.code, p.Detail, tc.code, tc.detail)
			}
			if diff := cmp.Diff(tc.violations, p.Violations); diff != "" {
				t.Error(diff)
			}
			if got.header.Get("Allow") != tc.allow {
				t.Errorf("Allow %q, want %q", got.header.Get("Allow"), tc.allow)
			}
			if path, _, _ := strings.Cut(tc.path, "?"); p.Instance != path {
				t.Errorf("instance %q", p.Instance)
			}
		})
	}
}

func TestABodyOverTheLimitIsRefusedOnBothPorts(t *testing.T) {
	s := run(t, &api{}, func(o *serve.Options) { o.BodyLimit = 1000 })
	long := strings.Repeat("x", 1000)

	rest := s.do("POST", "/v1/contacts", `{"visitorId":"`+long+`"}`, "Idempotency-Key", "k")
	if p := readProblem(t, rest); rest.code != 413 || p.Reason != "TOO_LARGE" || !strings.Contains(p.Detail, "1000 bytes") {
		t.Errorf("REST: %d %+v", rest.code, p)
	}
	_, err := s.grpc.StartContact(withKey(t.Context(), "k"), &channelv1.StartContactRequest{VisitorId: long})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("gRPC: %v", err)
	}
	// What no handler saw is counted all the same.
	want := `triangle_api_calls_total{code="ResourceExhausted",method="/channel.v1.ChannelService/StartContact"} 1`
	eventually(t, want, func() bool { return strings.Contains(s.do("GET", "/metrics", "").body, want) })

	fits := strings.Repeat("x", 900)
	if rest := s.do("POST", "/v1/contacts", `{"visitorId":"`+fits+`"}`, "Idempotency-Key", "k"); rest.code != 200 {
		t.Errorf("REST, what fits: %d %s", rest.code, rest.body)
	}
	if _, err := s.grpc.StartContact(withKey(t.Context(), "k"), &channelv1.StartContactRequest{VisitorId: fits}); err != nil {
		t.Errorf("gRPC, what fits: %v", err)
	}
}

func TestABodyThatDoesNotComeIsNotWaitedForLong(t *testing.T) {
	s := run(t, &api{}, func(o *serve.Options) { o.CallTimeout = 50 * time.Millisecond })
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "POST /v1/contacts HTTP/1.1\r\nHost: test\r\nIdempotency-Key: k\r\nContent-Length: 10\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if p := readProblem(t, answer{resp.StatusCode, resp.Header, string(body)}); p.Status != 408 || p.Reason != "BODY_TOO_SLOW" {
		t.Errorf("%+v", p)
	}
}

func TestACallMayOutlastTheTimeForItsBody(t *testing.T) {
	const timeout = 50 * time.Millisecond
	s := run(t, &api{start: func(ctx context.Context, _ *channelv1.StartContactRequest) (*channelv1.StartContactResponse, error) {
		select {
		case <-time.After(3 * timeout):
			return &channelv1.StartContactResponse{}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}, func(o *serve.Options) { o.CallTimeout = timeout })
	if got := s.do("POST", "/v1/contacts", "{}", "Idempotency-Key", "k", "Grpc-Timeout", "1M"); got.code != 200 {
		t.Errorf("%d %s", got.code, got.body)
	}
}

func TestTheUsualLimitIsOneMebibyte(t *testing.T) {
	s := run(t, &api{})
	for size, want := range map[int]int{1<<20 - 100: 200, 1 << 20: 413} {
		got := s.do("POST", "/v1/contacts", `{"visitorId":"`+strings.Repeat("x", size)+`"}`, "Idempotency-Key", "k")
		if got.code != want {
			t.Errorf("%d bytes: %d, want %d", size, got.code, want)
		}
	}
}

func TestAnAnswerMayBeLargerThanARequest(t *testing.T) {
	a := &api{messages: func(context.Context, *channelv1.ListMessagesRequest) (*channelv1.ListMessagesResponse, error) {
		return &channelv1.ListMessagesResponse{Messages: []*channelv1.Message{{Content: strings.Repeat("x", 6<<20)}}}, nil
	}}
	if got := run(t, a).do("GET", "/v1/messages", ""); got.code != 200 || len(got.body) < 6<<20 {
		t.Errorf("%d, %d bytes", got.code, len(got.body))
	}
}

func TestRESTSpeaksTheJSONOfTheDescription(t *testing.T) {
	var seen *channelv1.ListMessagesRequest
	a := &api{messages: func(_ context.Context, req *channelv1.ListMessagesRequest) (*channelv1.ListMessagesResponse, error) {
		seen = req
		return &channelv1.ListMessagesResponse{Messages: []*channelv1.Message{{MessageId: "m1"}}}, nil
	}}
	got := run(t, a).do("GET", "/v1/messages?pageSize=7", "")
	if got.code != 200 || seen.GetPageSize() != 7 {
		t.Fatalf("%d, page size %d", got.code, seen.GetPageSize())
	}
	message := got.json(t)["messages"].([]any)[0].(map[string]any)
	if message["messageId"] != "m1" || message["state"] != "MESSAGE_STATE_UNSPECIFIED" {
		t.Errorf("message %v", message)
	}
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	got := run(t, &api{}).do(http.MethodHead, "/v1/contacts/c1", "")
	if got.code != 200 || got.body != "" {
		t.Errorf("%d %q", got.code, got.body)
	}
}

func TestAMethodCantBeOverridden(t *testing.T) {
	got := run(t, &api{}).do("POST", "/v1/contacts/c1", "", "X-HTTP-Method-Override", "GET", "Content-Type", "application/x-www-form-urlencoded")
	if got.code != 405 {
		t.Errorf("%d %s", got.code, got.body)
	}
}

func TestTheDescriptionIsServed(t *testing.T) {
	got := run(t, &api{}).do("GET", "/openapi.json", "")
	if got.code != 200 || got.body != string(channelv1.OpenAPI) || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("%d, %d bytes, %v", got.code, len(got.body), got.header)
	}
}
