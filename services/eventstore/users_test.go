package eventstore_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/triangle-suite/triangle/services/eventstore"
	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
	"github.com/triangle-suite/triangle/services/eventstore/internal/users"
)

// newUserFixture is a store with one user, and a client that knows the
// password.
func newUserFixture(t *testing.T) *fixture {
	t.Helper()
	return newFixture(t, eventstoretest.WithUser("jane", "jane's: a/b?@#"))
}

// clientAs returns a client of the store that signs in as nobody, or as user.
func (f *fixture) clientAs(user *url.Userinfo) *esdb.Client {
	f.Helper()
	connection, err := url.Parse(f.store.ConnectionString())
	f.must(err)
	connection.User = user
	config, err := esdb.ParseConnectionString(connection.String())
	f.must(err)
	config.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(config)
	f.must(err)
	f.Cleanup(func() { f.must(client.Close()) })
	return client
}

func TestAUserIsLetIn(t *testing.T) {
	f := newUserFixture(t)
	sent := events(2)
	f.append("s", sent...)
	if got := f.read("s", esdb.ReadStreamOptions{}); len(got) != 2 || got[1].Event.EventID != sent[1].EventID {
		t.Errorf("read %v", got)
	}
	w := f.followAll(esdb.SubscribeToAllOptions{From: esdb.Start{}})
	w.catchUp()
}

func TestOthersAreTurnedAway(t *testing.T) {
	cases := map[string]*url.Userinfo{
		"nobody":            nil,
		"a wrong password":  url.UserPassword("jane", "guess"),
		"an unknown name":   url.UserPassword("joe", "jane's: a/b?@#"),
		"the default admin": url.UserPassword(users.DevName, users.DevPassword),
	}
	for name, user := range cases {
		t.Run(name, func(t *testing.T) {
			f := newUserFixture(t)
			client := f.clientAs(user)
			if _, err := client.GetServerVersion(); err != nil {
				t.Errorf("what the server is, anyone may ask: %v", err)
			}
			_, err := client.AppendToStream(f.ctx, "s", esdb.AppendToStreamOptions{}, events(1)...)
			f.wantCode(err, esdb.ErrorCodeUnauthenticated)
			_, err = client.DeleteStream(f.ctx, "s", esdb.DeleteStreamOptions{})
			f.wantCode(err, esdb.ErrorCodeUnauthenticated)
			read, err := client.ReadAll(f.ctx, esdb.ReadAllOptions{}, 1)
			if err == nil {
				_, err = read.Recv()
			}
			f.wantCode(err, esdb.ErrorCodeUnauthenticated)
			_, err = client.SubscribeToAll(f.ctx, esdb.SubscribeToAllOptions{})
			f.wantCode(err, esdb.ErrorCodeUnauthenticated)
			if got := f.readAll(esdb.ReadAllOptions{}); len(got) != 0 {
				t.Errorf("%d events were written all the same", len(got))
			}
		})
	}
}

// TestACallCanBringItsOwnCredentials: they count for the call alone, whatever
// the client's own are.
func TestACallCanBringItsOwnCredentials(t *testing.T) {
	f := newUserFixture(t)
	right := &esdb.Credentials{Login: "jane", Password: "jane's: a/b?@#"}
	wrong := &esdb.Credentials{Login: "jane", Password: "x"}
	_, err := f.client.AppendToStream(f.ctx, "s", esdb.AppendToStreamOptions{Authenticated: wrong}, events(1)...)
	f.wantCode(err, esdb.ErrorCodeUnauthenticated)
	f.append("s", events(1)...)
	stranger := f.clientAs(nil)
	_, err = stranger.AppendToStream(f.ctx, "s", esdb.AppendToStreamOptions{Authenticated: right}, events(1)...)
	f.must(err)
	_, err = stranger.AppendToStream(f.ctx, "s", esdb.AppendToStreamOptions{}, events(1)...)
	f.wantCode(err, esdb.ErrorCodeUnauthenticated)
	if got := f.read("s", esdb.ReadStreamOptions{}); len(got) != 2 {
		t.Errorf("%d events were written, want 2", len(got))
	}
}

// TestEveryMethodHasADoorkeeper calls all methods of all services without
// credentials.
func TestEveryMethodHasADoorkeeper(t *testing.T) {
	f := newUserFixture(t)
	pool := x509.NewCertPool()
	pool.AddCert(f.certificate())
	conn, err := grpc.NewClient(f.store.Addr(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})))
	f.must(err)
	t.Cleanup(func() { f.must(conn.Close()) })
	cases := []struct {
		service grpc.ServiceDesc
		want    codes.Code
	}{
		{streams.Streams_ServiceDesc, codes.Unauthenticated},
		{persistent.PersistentSubscriptions_ServiceDesc, codes.Unauthenticated},
		{gossip.Gossip_ServiceDesc, codes.OK},
		{serverfeatures.ServerFeatures_ServiceDesc, codes.OK},
	}
	for _, tc := range cases {
		for _, method := range tc.service.Methods {
			name := "/" + tc.service.ServiceName + "/" + method.MethodName
			if code := status.Code(conn.Invoke(f.ctx, name, &shared.Empty{}, &shared.Empty{})); code != tc.want {
				t.Errorf("%s answered %v, want %v", name, code, tc.want)
			}
		}
		for _, method := range tc.service.Streams {
			name := "/" + tc.service.ServiceName + "/" + method.StreamName
			stream, err := conn.NewStream(f.ctx, &grpc.StreamDesc{StreamName: method.StreamName, ServerStreams: true, ClientStreams: true}, name)
			f.must(err)
			if code := status.Code(stream.RecvMsg(&shared.Empty{})); code != tc.want {
				t.Errorf("%s answered %v, want %v", name, code, tc.want)
			}
		}
	}
}

func TestHealthAsksForNoCredentials(t *testing.T) {
	f := newUserFixture(t)
	pool := x509.NewCertPool()
	pool.AddCert(f.certificate())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	response, err := client.Get("https://" + f.store.Addr() + "/health/live")
	f.must(err)
	defer response.Body.Close() //nolint:errcheck // nothing is read from it
	if response.StatusCode != http.StatusNoContent {
		t.Errorf("answered %d, want %d", response.StatusCode, http.StatusNoContent)
	}
}

func TestUsersNeedTLS(t *testing.T) {
	dev, err := users.DevCredentials()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := eventstore.Start(eventstore.Config{Addr: "127.0.0.1:0", Users: dev}); !errors.Is(err, eventstore.ErrUsersNeedTLS) {
		t.Errorf("got %v, want %v", err, eventstore.ErrUsersNeedTLS)
	}
}
