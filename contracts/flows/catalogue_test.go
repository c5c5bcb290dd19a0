package flows_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/triangle-suite/triangle/contracts/channel/v1"
	_ "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	_ "github.com/triangle-suite/triangle/contracts/marketing/v1"
	privacyv1 "github.com/triangle-suite/triangle/contracts/privacy/v1"
	_ "github.com/triangle-suite/triangle/contracts/sales/v1"
)

// events lists the events of all contracts by their type, such as
// channel.ContactStarted.
func events(t *testing.T) map[string]protoreflect.MessageDescriptor {
	t.Helper()
	all := map[string]protoreflect.MessageDescriptor{}
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		service, rest, _ := strings.Cut(file.Path(), "/")
		if !strings.HasSuffix(rest, "/events.proto") {
			return true
		}
		for i := range file.Messages().Len() {
			message := file.Messages().Get(i)
			all[service+"."+string(message.Name())] = message
		}
		return true
	})
	if len(all) < 40 {
		t.Fatalf("%d events, want those of four packages", len(all))
	}
	return all
}

// A flow that carries a type that nobody can write would wait for it for ever;
// one that carries another service's type would have two producers, and no order.
func TestEveryTypeIsAnEventOfTheFlowsProducer(t *testing.T) {
	all := events(t)
	for _, flow := range flows.Catalogue {
		if len(flow.Types) == 0 {
			t.Errorf("%s carries nothing", flow.Name)
		}
		for i, eventType := range flow.Types {
			if all[eventType] == nil {
				t.Errorf("%s carries %s, which is in no events.proto", flow.Name, eventType)
			}
			if !strings.HasPrefix(eventType, string(flow.From)+".") {
				t.Errorf("%s carries %s, which %s does not write", flow.Name, eventType, flow.From)
			}
			if slices.Contains(flow.Types[:i], eventType) {
				t.Errorf("%s carries %s twice", flow.Name, eventType)
			}
		}
	}
}

// Order is kept within a key, and a parked event holds back its key: an event
// without a key would be in no order, and would hold back nothing, or all.
func TestEveryEventHasAKey(t *testing.T) {
	all := events(t)
	for _, flow := range flows.Catalogue {
		used := map[string]bool{}
		for _, eventType := range flow.Types {
			fields := keyFields(all[eventType], flow.Key)
			if len(fields) == 0 {
				t.Errorf("%s: %s has none of the fields %v", flow.Name, eventType, flow.Key)
			}
			for _, field := range fields {
				used[string(field.Name())] = true
				if field.Cardinality() == protoreflect.Repeated || field.Message() != nil {
					t.Errorf("%s: %s has no single value, so it can't be a key", flow.Name, field.FullName())
				}
				if marked(field, privacyv1.E_Personal) {
					t.Errorf("%s: %s is personal, and a key is kept in clear", flow.Name, field.FullName())
				}
			}
		}
		for _, name := range flow.Key {
			if !used[name] {
				t.Errorf("%s: no event has the key field %s", flow.Name, name)
			}
		}
	}
}

func keyFields(event protoreflect.MessageDescriptor, names []string) []protoreflect.FieldDescriptor {
	var found []protoreflect.FieldDescriptor
	if event == nil {
		return nil
	}
	for _, name := range names {
		if field := event.Fields().ByName(protoreflect.Name(name)); field != nil {
			found = append(found, field)
		}
	}
	return found
}

// A name is part of stream names, metrics and Kubernetes objects: it must be
// one, and fit them all.
func TestNamesAreUniqueAndFitEverywhere(t *testing.T) {
	fits := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	seen := map[string]bool{}
	for _, flow := range flows.Catalogue {
		if !fits.MatchString(flow.Name) || len(flow.Name) > 40 {
			t.Errorf("%q is not made of lower-case letters and dashes, or is too long", flow.Name)
		}
		if seen[flow.Name] {
			t.Errorf("%s is there twice", flow.Name)
		}
		seen[flow.Name] = true
		if found, ok := flows.Find(flow.Name); !ok || found.Rationale != flow.Rationale {
			t.Errorf("Find(%q) finds something else", flow.Name)
		}
	}
	if _, ok := flows.Find("nonsense"); ok {
		t.Error("a flow was found that is not there")
	}
}

// Whoever wonders about a flow must find somebody to ask, and a reason.
func TestEveryFlowHasAnOwnerAndARationale(t *testing.T) {
	for _, flow := range flows.Catalogue {
		if strings.TrimSpace(flow.Owner) == "" {
			t.Errorf("%s has no owner", flow.Name)
		}
		if !strings.HasSuffix(flow.Rationale, ".") || len(strings.Fields(flow.Rationale)) < 5 {
			t.Errorf("%s: %q is no rationale", flow.Name, flow.Rationale)
		}
	}
}

// A flow within one corner would be a private matter of that service, not an
// arrow of the triangle.
func TestEveryFlowIsAnArrowOfTheTriangle(t *testing.T) {
	for _, flow := range flows.Catalogue {
		if flow.From == flow.To {
			t.Errorf("%s goes from %s to itself", flow.Name, flow.From)
		}
		for _, corner := range []flows.Service{flow.From, flow.To} {
			if !slices.Contains(flows.Services, corner) {
				t.Errorf("%s: %q is no corner of the triangle", flow.Name, corner)
			}
		}
		if !slices.ContainsFunc(flows.Into(flow.To), func(f flows.Flow) bool { return f.Name == flow.Name }) {
			t.Errorf("%s is not among the flows into %s", flow.Name, flow.To)
		}
	}
	into := 0
	for _, corner := range flows.Services {
		into += len(flows.Into(corner))
	}
	if into != len(flows.Catalogue) {
		t.Errorf("%d flows go into a corner, want all %d", into, len(flows.Catalogue))
	}
}

// These are the flows, and the cadences that the scenario starts at; scripts,
// documents and dashboards name them.
func TestTheTwelveFlowsAreAsTheScenarioStarts(t *testing.T) {
	want := map[string]string{
		"contacts":          "channel sales realtime",
		"customer-view":     "sales channel realtime",
		"customer-requests": "channel sales realtime",
		"contact-events":    "channel marketing realtime",
		"next-best-actions": "marketing channel realtime",
		"request-status":    "sales marketing daily",
		"customer-facts":    "sales marketing daily",
		"outbound-leads":    "marketing sales daily",
		"lead-dispatch":     "sales channel hourly",
		"lead-responses":    "marketing sales realtime",
		"channel-capacity":  "channel sales hourly",
		"dispatch-results":  "channel sales realtime",
	}
	got := map[string]string{}
	for _, flow := range flows.Catalogue {
		if _, err := flows.ParseCadence(flow.Cadence); err != nil {
			t.Errorf("%s: %v", flow.Name, err)
		}
		got[flow.Name] = strings.Join([]string{string(flow.From), string(flow.To), flow.Cadence}, " ")
	}
	if !maps.Equal(got, want) {
		t.Errorf("the catalogue is %v, want %v", got, want)
	}
}

func TestStreamsOfAFlow(t *testing.T) {
	if got := flows.ControlStream("contacts"); got != "flow-contacts" {
		t.Errorf("control stream %q", got)
	}
	if got := flows.ProgressStream("contacts"); got != "progress-contacts" {
		t.Errorf("progress stream %q", got)
	}
	if got := flows.ShadowStream("contacts", "7"); got != "shadow-contacts:7" {
		t.Errorf("shadow stream %q", got)
	}
	if got := flows.FreshnessStream("contacts"); got != "freshness-contacts" {
		t.Errorf("freshness stream %q", got)
	}
}

func marked(field protoreflect.FieldDescriptor, option protoreflect.ExtensionType) bool {
	is, _ := proto.GetExtension(field.Options(), option).(bool)
	return is
}
