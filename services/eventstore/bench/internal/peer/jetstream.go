package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// startTimeout bounds how long a peer may take to start.
const startTimeout = 30 * time.Second

// Via is how a client reaches a JetStream.
type Via int

// The ways to a JetStream.
const (
	InProcess Via = iota // without a socket
	Loopback             // over TCP
)

// JetStream is NATS with a stream in files, synced for each message.
type JetStream struct {
	server  *server.Server
	conns   []*nats.Conn
	streams []jetstream.JetStream
}

// StartJetStream starts one that keeps its data in folder dir, with so many
// connections to it.
func StartJetStream(ctx context.Context, dir string, via Via, connections int) (*JetStream, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "bench", Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: dir, SyncAlways: true,
	})
	if err != nil {
		return nil, fmt.Errorf("start JetStream: %w", err)
	}
	j := &JetStream{server: s}
	s.Start()
	if err := j.connect(ctx, via, connections); err != nil {
		return nil, errors.Join(fmt.Errorf("start JetStream: %w", err), j.Close())
	}
	return j, nil
}

func (j *JetStream) connect(ctx context.Context, via Via, connections int) error {
	if !j.server.ReadyForConnections(startTimeout) {
		return fmt.Errorf("it takes no connections after %v", startTimeout)
	}
	var options []nats.Option
	if via == InProcess {
		options = append(options, nats.InProcessServer(j.server))
	}
	for range connections {
		conn, err := nats.Connect(j.server.ClientURL(), options...)
		if err != nil {
			return err
		}
		j.conns = append(j.conns, conn)
		stream, err := jetstream.New(conn)
		if err != nil {
			return err
		}
		j.streams = append(j.streams, stream)
	}
	_, err := j.streams[0].CreateStream(ctx, jetstream.StreamConfig{Name: "bench", Subjects: []string{"bench"}, Storage: jetstream.FileStorage})
	return err
}

// Append publishes one event of a writer and waits until it is acknowledged.
func (j *JetStream) Append(ctx context.Context, writer int) error {
	_, err := j.streams[writer%len(j.streams)].Publish(ctx, "bench", Payload)
	return err
}

// Close ends connections and server.
func (j *JetStream) Close() error {
	for _, conn := range j.conns {
		conn.Close()
	}
	j.server.Shutdown()
	j.server.WaitForShutdown()
	return nil
}
