package eventstore_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/triangle-suite/triangle/services/eventstore"
	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
)

func TestServerSaysWhatItIs(t *testing.T) {
	f := newFixture(t)
	version, err := f.client.GetServerVersion()
	f.must(err)
	if *version != (esdb.ServerVersion{Major: 24, Minor: 6, Patch: 0}) {
		t.Errorf("the version is %+v", version)
	}
}

func TestTLS(t *testing.T) {
	f := newFixture(t, eventstoretest.WithTLS())
	sent := events(1)
	f.append("s", sent...)
	if got := f.read("s", esdb.ReadStreamOptions{}); got[0].Event.EventID != sent[0].EventID {
		t.Errorf("read %v", got[0].Event)
	}
	plain, err := esdb.ParseConnectionString("esdb://" + f.store.Addr() + "?tls=false&maxDiscoverAttempts=1")
	f.must(err)
	plain.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(plain)
	f.must(err)
	defer client.Close() //nolint:errcheck // it never connected
	if _, err := client.AppendToStream(f.ctx, "s", esdb.AppendToStreamOptions{}, events(1)...); err == nil {
		t.Error("a client without TLS was served")
	}
}

func TestClientsFindTheServerByGossip(t *testing.T) {
	f := newFixture(t)
	config, err := esdb.ParseConnectionString("esdb://" + f.store.Addr() + "," + f.store.Addr() + "?tls=false")
	f.must(err)
	config.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(config)
	f.must(err)
	defer client.Close() //nolint:errcheck // the append below is what counts
	_, err = client.AppendToStream(f.ctx, "s", esdb.AppendToStreamOptions{}, events(1)...)
	f.must(err)
}

func TestHealth(t *testing.T) {
	f := newFixture(t)
	secured := newFixture(t, eventstoretest.WithTLS())
	pool := x509.NewCertPool()
	pool.AddCert(secured.certificate())
	trusting := func(protocols ...string) *http.Client {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, NextProtos: protocols}, ForceAttemptHTTP2: true}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}
	}
	cases := map[string]struct {
		client *http.Client
		url    string
		want   int
	}{
		"live":                               {&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://" + f.store.Addr() + "/health/live", http.StatusNoContent},
		"live by TLS":                        {trusting("http/1.1"), "https://" + secured.store.Addr() + "/health/live", http.StatusNoContent},
		"live for one who offers HTTP/2 too": {trusting("h2", "http/1.1"), "https://" + secured.store.Addr() + "/health/live", http.StatusNoContent},
		"another page":                       {&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://" + f.store.Addr() + "/web", http.StatusNotFound},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			response, err := tc.client.Get(tc.url)
			f.must(err)
			defer response.Body.Close() //nolint:errcheck // nothing is read from it
			if response.StatusCode != tc.want {
				t.Errorf("answered %d, want %d", response.StatusCode, tc.want)
			}
		})
	}
}

// certificate is what the store shows to who connects.
func (f *fixture) certificate() *x509.Certificate {
	f.Helper()
	conn, err := tls.Dial("tcp", f.store.Addr(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a test looks at it
	f.must(err)
	defer conn.Close() //nolint:errcheck // nothing was sent
	return conn.ConnectionState().PeerCertificates[0]
}

func TestStopDoesNotWaitForSubscriptions(t *testing.T) {
	f := newFixture(t)
	w := f.followAll(esdb.SubscribeToAllOptions{From: esdb.Start{}})
	w.catchUp()
	silent, err := net.Dial("tcp", f.store.Addr()) // and not for those who say nothing
	f.must(err)
	defer silent.Close() //nolint:errcheck // the store has closed it
	begun := time.Now()
	f.store.Stop()
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("the stop took %v", took)
	}
	message := w.sub.Recv()
	for message.SubscriptionDropped == nil {
		message = w.sub.Recv()
	}
	if code := status.Code(message.SubscriptionDropped.Error); code != codes.Unavailable {
		t.Errorf("the subscription ended with %v, want %v", code, codes.Unavailable)
	}
}

func TestAClientFindsTheStoreAgainAfterARestart(t *testing.T) {
	f := newFixture(t, eventstoretest.OnDisk())
	sent := events(3)
	f.append("s", sent...)
	f.softDelete("t")
	f.tombstone("u")
	f.setMetadata("s", func(m *esdb.StreamMetadata) { m.SetMaxCount(2) })
	before := f.readAll(esdb.ReadAllOptions{})
	f.store.Restart()
	for { // the first call may meet the old connection
		_, err := f.client.AppendToStream(f.ctx, "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Revision(2)}, events(1)...)
		if err == nil {
			break
		}
		f.wantCode(err, esdb.ErrorUnavailable)
	}
	after := f.readAll(esdb.ReadAllOptions{})
	if len(after) != len(before)+1 {
		t.Fatalf("%d events are there, want %d", len(after), len(before)+1)
	}
	for i, e := range before {
		if got := after[i].Event; got.EventID != e.Event.EventID || got.Position != e.Event.Position || !got.CreatedDate.Equal(e.Event.CreatedDate) {
			t.Errorf("event %d is %+v, was %+v", i, got, e.Event)
		}
	}
	if last := after[len(after)-1].Event.Position; last.Commit <= before[len(before)-1].Event.Position.Commit {
		t.Errorf("position %v follows %v", last, before[len(before)-1].Event.Position)
	}
	if got := f.revisions("s"); len(got) != 2 || got[0] != 2 {
		t.Errorf("revisions %v are visible", got)
	}
	_, err := f.tryRead("u", esdb.ReadStreamOptions{})
	f.wantCode(err, esdb.ErrorCodeStreamDeleted)
}

func TestTwoStoresCanNotShareAFolder(t *testing.T) {
	config := eventstore.Config{Addr: "127.0.0.1:0", Data: eventstore.Folder(t.TempDir())}
	first, err := eventstore.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Kill() //nolint:errcheck // the test is about the second one
	if _, err := eventstore.Start(config); !errors.Is(err, eventstore.ErrInUse) {
		t.Errorf("the second store failed with %v, want %v", err, eventstore.ErrInUse)
	}
}

func TestAFilteredReadOfAll(t *testing.T) {
	f := newFixture(t)
	f.append("s", typed("a"), typed("b"), typed("a"))
	call, err := streams.NewStreamsClient(f.raw()).Read(f.ctx, &streams.ReadReq{Options: &streams.ReadReq_Options{
		StreamOption: &streams.ReadReq_Options_All{All: &streams.ReadReq_Options_AllOptions{}},
		CountOption:  &streams.ReadReq_Options_Count{Count: 10},
		FilterOption: &streams.ReadReq_Options_Filter{Filter: &streams.ReadReq_Options_FilterOptions{
			Filter: &streams.ReadReq_Options_FilterOptions_EventType{EventType: &streams.ReadReq_Options_FilterOptions_Expression{Prefix: []string{"a"}}},
		}},
		UuidOption: &streams.ReadReq_Options_UUIDOption{Content: &streams.ReadReq_Options_UUIDOption_String_{String_: &shared.Empty{}}},
	}})
	f.must(err)
	n := 0
	for {
		message, err := call.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		f.must(err)
		if message.GetEvent().GetEvent().GetId().GetString_() == "" {
			t.Error("an id is not textual, as was asked for")
		}
		n++
	}
	if n != 2 {
		t.Errorf("read %d events, want 2", n)
	}
}

// Clients parse the trailer of a deleted stream, and one of them crashes
// without the name.
func TestTheTrailerOfADeletedStream(t *testing.T) {
	f := newFixture(t)
	f.tombstone("s")
	var trailer metadata.MD
	_, err := streams.NewStreamsClient(f.raw()).Delete(f.ctx, &streams.DeleteReq{Options: &streams.DeleteReq_Options{
		StreamIdentifier:       &shared.StreamIdentifier{StreamName: []byte("s")},
		ExpectedStreamRevision: &streams.DeleteReq_Options_Any{Any: &shared.Empty{}},
	}}, grpc.Trailer(&trailer))
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("failed with %v, want %v", err, codes.FailedPrecondition)
	}
	if trailer.Get("exception")[0] != "stream-deleted" || trailer.Get("stream-name")[0] != "s" {
		t.Errorf("the trailer is %v", trailer)
	}
}

func TestStartFailsOnAPortThatIsTaken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // it only takes a port
	data := eventstore.Folder(t.TempDir())
	if _, err := eventstore.Start(eventstore.Config{Addr: listener.Addr().String(), Data: data}); err == nil {
		t.Fatal("the store started on a port that is taken")
	}
	again, err := eventstore.Start(eventstore.Config{Addr: "127.0.0.1:0", Data: data})
	if err != nil {
		t.Fatalf("the failed start kept the folder: %v", err)
	}
	if err := again.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}
