package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/services/client"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/scenarios"
)

// TestScenariosOnRealProcesses plays every text of the folder scenarios, one after
// the other: on one suite, but for those that need one of their own. It records what
// came of them: see package scenarios.
func TestScenariosOnRealProcesses(t *testing.T) {
	texts, err := scenarios.Texts("../scenarios")
	if err != nil {
		t.Fatal(err)
	}
	var shared *suite
	results := scenarios.Results{}
	for _, text := range texts {
		if why := text.NotOn(scenarios.Processes); why != "" {
			results[text.Name()] = scenarios.Result(false, why)
			continue
		}
		t.Run(text.Name(), func(inner *testing.T) {
			passed := false
			defer func() { results[text.Name()] = scenarios.Result(passed, "") }()
			var on *suite
			if text.Alone != "" {
				on = up(inner)
			} else {
				if shared == nil {
					shared = up(t)
				}
				on = shared
			}
			scenarios.Play(inner.Context(), inner, text, on.world(inner))
			passed = !inner.Failed()
		})
	}
	scenarios.Record(t, "../SCENARIOS.md", texts, scenarios.Processes, results)
}

// world is the suite as a text is played on it.
func (s *suite) world(t *testing.T) scenarios.World {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.data, "addresses.json"))
	if err != nil {
		t.Fatal(err)
	}
	var at map[string]json.RawMessage
	if err := json.Unmarshal(text, &at); err != nil {
		t.Fatal(err)
	}
	grpc := func(service string) string {
		var listening struct{ GRPC string }
		if err := json.Unmarshal(at[service], &listening); err != nil {
			t.Fatal(err)
		}
		return listening.GRPC
	}
	services, err := client.Dial(grpc("channel"), grpc("sales"), grpc("marketing"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = services.Close() })
	flows, err := control.Connect("esdb://" + s.eventStore + "?tls=false")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flows.Close() })
	return scenarios.World{
		Services: services, Flows: flows, Patience: time.Minute, Settled: 2 * time.Second, BackOffice: s.backOffice(t),
	}
}

// backOffice freezes the back office, and lets it go on. It goes on at the end of
// the text at the latest.
func (s *suite) backOffice(t *testing.T) func(bool) error {
	return func(answers bool) error {
		if answers {
			signalProcess(t, s.data, "backoffice", syscall.SIGCONT)
			return nil
		}
		t.Cleanup(func() { signalProcess(t, s.data, "backoffice", syscall.SIGCONT) })
		signalProcess(t, s.data, "backoffice", syscall.SIGSTOP)
		return nil
	}
}
