package telemetry

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/grpclog"
)

func TestWhatGRPCReportsIsALineOfTheLog(t *testing.T) {
	var out bytes.Buffer
	var target atomic.Pointer[slog.Logger]
	target.Store(newLogger(&out, slog.LevelInfo, "channel"))
	logger := grpclog.NewLoggerV2(&bytes.Buffer{}, &bytes.Buffer{}, grpcErrors{&target})
	logger.Infof("nothing of note")
	logger.Warningf("a connection came and went")
	logger.Errorf("broken: %d", 7)
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	if line["error"] != "broken: 7" || line["level"] != "WARN" || line["service"] != "channel" {
		t.Errorf("logged %v", line)
	}
}

// A process may start telemetry while it speaks gRPC already: the race detector
// tells whether it may.
func TestTelemetryMayStartWhileGRPCIsInUse(t *testing.T) {
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		for range 100 {
			grpclog.Infof("a connection came and went")
		}
	}()
	var out bytes.Buffer
	tel, err := Start(t.Context(), Settings{Service: "channel", Output: &out})
	if err != nil {
		t.Fatal(err)
	}
	<-logged
	grpclog.Errorf("broken")
	if grpcTarget.Load() != tel.Logger || !bytes.Contains(out.Bytes(), []byte(`"error":"broken"`)) {
		t.Errorf("gRPC's errors do not go to the log that was started last: %s", &out)
	}
}
