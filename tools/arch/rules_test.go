package arch

import (
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"
)

// Contracts are the words that the services share. If they imported anything of
// ours, a change there would change what the words mean.
func TestContractsImportNothingOfOurs(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.ours() {
			if p.under("contracts") && !under(imported, "contracts") {
				t.Errorf("%s imports %s", p.path(), imported)
			}
		}
	}
}

var services = []string{"services/channel", "services/sales", "services/marketing"}

// Services work together only through the event store. The compiler keeps their
// insides apart; this keeps their outsides apart too.
func TestServicesDoNotImportEachOther(t *testing.T) {
	for _, p := range packages(t) {
		for _, one := range services {
			for _, other := range services {
				for _, imported := range p.ours() {
					if one != other && p.under(one) && under(imported, other) {
						t.Errorf("%s imports %s", p.path(), imported)
					}
				}
			}
		}
	}
}

// A service has no other service's address or client: it may serve its own API,
// and know the others' events, but not call them.
func TestServicesDoNotCallEachOther(t *testing.T) {
	clients := map[string][]string{
		"services/channel":   {"NewSalesServiceClient", "NewMarketingServiceClient"},
		"services/sales":     {"NewChannelServiceClient", "NewMarketingServiceClient"},
		"services/marketing": {"NewChannelServiceClient", "NewSalesServiceClient"},
	}
	for _, p := range packages(t) {
		for service, banned := range clients {
			if !p.under(service) {
				continue
			}
			if slices.Contains(p.ours(), "services/client") {
				t.Errorf("%s imports services/client, which is for who calls the suite from outside", p.path())
			}
			for _, f := range p.parse(t, p.GoFiles) {
				for _, client := range banned {
					for _, name := range []string{"channelv1", "salesv1", "marketingv1"} {
						for _, at := range f.calls(name, client) {
							t.Errorf("%s: %s is not this service's to call", at, client)
						}
					}
				}
			}
		}
	}
}

// The runtime is shared by all services. If it knew one of them, it would be
// that one's runtime.
func TestTheRuntimeKnowsNoService(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.ours() {
			for _, service := range services {
				if p.under("services/internal") && under(imported, service) {
					t.Errorf("%s imports %s", p.path(), imported)
				}
			}
		}
	}
}

// The simulation puts all three services together, to play them. If anything
// rested on it, the services would meet there.
func TestNothingRestsOnTheSimulation(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.ours() {
			if under(imported, "services/simulation") {
				t.Errorf("%s imports %s", p.path(), imported)
			}
		}
	}
}

// The client of the event store has defects that one holder guards against. Any
// other use of it would go unguarded.
func TestOnlyTheHolderUsesTheStoresClient(t *testing.T) {
	const client = "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	allowed := []string{
		"services/internal/eventlog/esdb", "services/eventstore/eventstoretest",
		// A backup holds system events too, and is of any store; the store knows nothing
		// of the suite's reader.
		"services/eventstore", "services/eventstore/internal/backup", "services/eventstore/cmd/event-store",
		// The story's last step looks for personal data in all that the store holds,
		// as an auditor would: the suite's own reader leaves system events out, and
		// should not be the one to tell whether the suite keeps its word.
		"tools/internal/scenario",
	}
	for _, p := range packages(t) {
		if slices.Contains(p.Imports, client) && !slices.Contains(allowed, p.path()) {
			t.Errorf("%s imports %s; use services/internal/eventlog", p.path(), client)
		}
	}
}

// The embedded store stands in for a cluster of somebody else's. It is reached
// by the protocol alone, so that nothing works with it that would not work with
// the cluster.
func TestTheEmbeddedStoreIsReachedByItsProtocolOnly(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.ours() {
			store := under(imported, "services/eventstore")
			if store && !p.under("services/eventstore") && !p.under("e2e") {
				t.Errorf("%s imports %s outside its tests", p.path(), imported)
			}
			if p.under("services/eventstore") && under(imported, "services") && !store {
				t.Errorf("%s imports %s: the store knows nothing of the suite", p.path(), imported)
			}
		}
	}
}

// Deciders are pure: the same state and command always give the same events. So
// their files know no clock, no chance, no I/O.
func TestDecidersArePure(t *testing.T) {
	banned := []string{
		"context", "database/sql", "math/rand", "math/rand/v2", "crypto/rand", "net/http", "os", "log/slog",
		prefix + "services/internal/eventlog", prefix + "services/internal/projection", prefix + "services/internal/flow",
	}
	found := 0
	for _, p := range packages(t) {
		if !slices.ContainsFunc(services, p.under) {
			continue
		}
		for _, f := range p.parse(t, p.GoFiles) {
			if path.Base(f.path) != "decider.go" {
				continue
			}
			found++
			for _, pkg := range banned {
				if f.imports(pkg) {
					t.Errorf("%s imports %s", f.path, pkg)
				}
			}
			for _, call := range [][2]string{{"time", "Now"}, {"uuid", "New"}, {"uuid", "NewString"}} {
				for _, at := range f.calls(call[0], call[1]) {
					t.Errorf("%s: %s.%s: time, ids and chance arrive in the command", at, call[0], call[1])
				}
			}
		}
	}
	if found < 5 {
		t.Errorf("found only %d deciders: the rule would hold of nothing", found)
	}
}

// What a migration does next follows from the spec, what was seen, and the time that
// it is told: else it could not be shown what it never does.
func TestThePlanIsPure(t *testing.T) {
	banned := []string{"context", "database/sql", "math/rand", "math/rand/v2", "crypto/rand", "net/http", "os", "log/slog", prefix + "services/control"}
	found := 0
	for _, p := range packages(t) {
		if p.path() != "operator/internal/plan" && p.path() != "services/control/migration" {
			continue
		}
		for _, f := range p.parse(t, p.GoFiles) {
			found++
			for _, pkg := range banned {
				if f.imports(pkg) {
					t.Errorf("%s imports %s", f.path, pkg)
				}
			}
			for _, function := range []string{"Now", "Since", "Until", "After"} {
				for _, at := range f.calls("time", function) {
					t.Errorf("%s: time.%s: the time is told", at, function)
				}
			}
		}
	}
	if found < 5 {
		t.Errorf("found only %d files: the rule would hold of nothing", found)
	}
}

// Ids of what the suite makes derive from what asked for it, so that a retry
// makes the same. A random id in a service would make something new each time.
func TestServicesDrawNoRandomIDs(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.ContainsFunc(services, p.under) {
			continue
		}
		for _, f := range p.parse(t, p.GoFiles) {
			for _, function := range []string{"New", "NewString", "NewRandom", "NewV7", "NewUUID"} {
				for _, at := range f.calls("uuid", function) {
					t.Errorf("%s: uuid.%s; derive the id from the origin", at, function)
				}
			}
		}
	}
}

// A folder is named for a capability. Names that say nothing gather everything.
func TestFoldersAreNamedForCapabilities(t *testing.T) {
	banned := []string{"domain", "app", "application", "utils", "util", "common", "helpers", "misc", "shared", "ports", "adapters"}
	for _, p := range packages(t) {
		for _, part := range strings.Split(p.path(), "/") {
			if slices.Contains(banned, part) {
				t.Errorf("%s: name the folder for what it can do, not %q", p.path(), part)
			}
		}
	}
}

// A reader takes in a file of a few hundred lines. A longer one is two.
func TestFilesAreShort(t *testing.T) {
	const most = 500
	for _, p := range packages(t) {
		for _, f := range p.parse(t, slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles)) {
			if n := f.lines(); n > most && !ast.IsGenerated(f.ast) {
				t.Errorf("%s has %d lines, more than %d", f.path, n, most)
			}
		}
	}
}

// Every package says what it is for, where it is declared.
func TestPackagesAreDocumented(t *testing.T) {
	for _, p := range packages(t) {
		files := p.parse(t, p.GoFiles)
		documented := slices.ContainsFunc(files, func(f file) bool { return f.ast.Doc != nil })
		generated, _ := path.Match("contracts/*/v[0-9]", p.path())
		if len(files) > 0 && !documented && !generated {
			t.Errorf("%s has no package comment", p.path())
		}
	}
}

// Outside partners are what Watermill is for. A flow is never retried or
// poisoned by it: the intake loop alone decides what is taken in, once.
func TestFlowsDoNotUseWatermill(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			if p.under("services/internal/flow") && strings.HasPrefix(imported, "github.com/ThreeDotsLabs/watermill") {
				t.Errorf("%s imports %s", p.path(), imported)
			}
		}
	}
}
