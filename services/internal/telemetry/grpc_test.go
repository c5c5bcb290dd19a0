package telemetry

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"google.golang.org/grpc/grpclog"
)

func TestWhatGRPCReportsIsALineOfTheLog(t *testing.T) {
	var out bytes.Buffer
	logger := grpclog.NewLoggerV2(&bytes.Buffer{}, &bytes.Buffer{}, grpcErrors{newLogger(&out, slog.LevelInfo, "channel")})
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
