package serve_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/services/internal/serve"
)

// Of all that goes wrong, what the service could not do counts as a failure; what the
// caller got wrong does not.
func TestCallsThatTheServiceCouldNotServeAreTallied(t *testing.T) {
	a := &api{get: func(_ context.Context, req *channelv1.GetContactRequest) (*channelv1.GetContactResponse, error) {
		return &channelv1.GetContactResponse{}, failures[req.GetContactId()].err
	}}
	tally := &serve.Tally{}
	s := run(t, a, func(o *serve.Options) { o.Tally = tally })
	wantCalls, wantFailed := uint64(0), uint64(0)
	for name := range failures {
		_, err := s.grpc.GetContact(t.Context(), &channelv1.GetContactRequest{ContactId: name})
		wantCalls++
		switch readStatus(t, err).code {
		case codes.Unavailable, codes.Internal, codes.Unknown, codes.DeadlineExceeded, codes.DataLoss:
			wantFailed++
		}
	}
	s.do("GET", "/v1/contacts/c1", "") // well, and over REST
	wantCalls++
	eventually(t, "the tally", func() bool {
		calls, failed := tally.Read()
		return calls == wantCalls && failed == wantFailed
	})
	if wantFailed == 0 || wantFailed > wantCalls/2 {
		t.Errorf("%d of %d calls failed: the test tells too little", wantFailed, wantCalls)
	}
}
