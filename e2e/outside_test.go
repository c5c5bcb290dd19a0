package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

// collector is a collector of OpenTelemetry's, which keeps all that it is told as it
// comes over the wire.
type collector struct {
	mu   sync.Mutex
	told map[string][]byte // by the signal's method
}

// asItIs is a codec that leaves messages as they are.
type asItIs struct{}

func (asItIs) Name() string                             { return "proto" }
func (asItIs) Marshal(any) (mem.BufferSlice, error)     { return nil, nil } // the empty message
func (asItIs) Unmarshal(b mem.BufferSlice, v any) error { *v.(*[]byte) = b.Materialize(); return nil }

// collect starts a collector, and has the suites that start from now on tell it all.
func collect(t *testing.T) *collector {
	t.Helper()
	c := &collector{told: map[string][]byte{}}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(asItIs{}), grpc.MaxRecvMsgSize(64<<20), grpc.UnknownServiceHandler(c.take))
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+l.Addr().String())
	for _, signal := range []string{"TRACES", "METRICS", "LOGS"} {
		t.Setenv("OTEL_"+signal+"_EXPORTER", "otlp")
	}
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "1000")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
	return c
}

func (c *collector) take(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	var message []byte
	if err := stream.RecvMsg(&message); err != nil {
		return err
	}
	c.mu.Lock()
	c.told[method] = append(c.told[method], message...)
	c.mu.Unlock()
	return stream.SendMsg(nil)
}

// all returns what was told, by signal.
func (c *collector) all() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	told := map[string]string{}
	for method, bytes := range c.told {
		told[method[strings.LastIndex(method, "collector.")+len("collector."):]] = string(bytes)
	}
	return told
}

// rudeMailServer refuses every address, and says in its answer whom it was about.
type rudeMailServer struct {
	addr string

	mu      sync.Mutex
	refused []string
}

func startRudeMailServer(t *testing.T) *rudeMailServer {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s := &rudeMailServer{addr: l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *rudeMailServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(conn, format+"\r\n", args...) }
	say("220 rude.example.org ready")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		switch command := strings.ToUpper(lines.Text()); {
		case strings.HasPrefix(command, "RCPT"):
			s.refuse(lines.Text())
			say("550 5.1.1 nobody here knows %s, ask elsewhere for %s", lines.Text(), lines.Text())
		case strings.HasPrefix(command, "QUIT"):
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *rudeMailServer) refuse(whom string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = append(s.refused, whom)
}

// hasRefused tells whether an address was refused.
func (s *rudeMailServer) hasRefused(address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.refused, func(whom string) bool { return strings.Contains(whom, address) })
}

// appendByHand appends an event to the store as somebody may who has access to it.
func (s *suite) appendByHand(stream, eventType, data string) {
	s.t.Helper()
	conn, err := grpc.NewClient(s.eventStore, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	call, err := streams.NewStreamsClient(conn).Append(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, message := range []*streams.AppendReq{
		{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{
			StreamIdentifier:       &shared.StreamIdentifier{StreamName: []byte(stream)},
			ExpectedStreamRevision: &streams.AppendReq_Options_Any{Any: &shared.Empty{}},
		}}},
		{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: &streams.AppendReq_ProposedMessage{
			Id:       &shared.UUID{Value: &shared.UUID_String_{String_: uuid.NewString()}},
			Metadata: map[string]string{"type": eventType, "content-type": "application/json"},
			Data:     []byte(data),
		}}},
	} {
		if err := call.Send(message); err != nil && !errors.Is(err, io.EOF) {
			s.t.Fatal(err)
		}
	}
	if _, err := call.CloseAndRecv(); err != nil {
		s.t.Fatal(err)
	}
}
