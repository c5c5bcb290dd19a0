package codec

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	privacyv1 "github.com/triangle-suite/triangle/contracts/privacy/v1"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// field is a field of a contract that a test makes up.
type field struct {
	name     string
	kind     descriptorpb.FieldDescriptorProto_Type
	message  string // of kind message
	repeated bool
	personal bool
	subject  bool
}

const (
	text   = descriptorpb.FieldDescriptorProto_TYPE_STRING
	number = descriptorpb.FieldDescriptorProto_TYPE_UINT32
	nested = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
)

func message(name string, fields ...field) *descriptorpb.DescriptorProto {
	m := &descriptorpb.DescriptorProto{Name: &name}
	for i, f := range fields {
		options := &descriptorpb.FieldOptions{}
		if f.personal {
			proto.SetExtension(options, privacyv1.E_Personal, true)
		}
		if f.subject {
			proto.SetExtension(options, privacyv1.E_Subject, true)
		}
		label := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
		if f.repeated {
			label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED
		}
		d := &descriptorpb.FieldDescriptorProto{
			Name: &f.name, Number: proto.Int32(int32(i + 1)), Type: &f.kind, Label: &label, Options: options,
		}
		if f.kind == nested {
			d.TypeName = proto.String(".test.v1." + f.message)
		}
		m.Field = append(m.Field, d)
	}
	return m
}

// contract builds test/v1/events.proto and returns its first message.
func contract(t *testing.T, messages ...*descriptorpb.DescriptorProto) protoreflect.MessageDescriptor {
	t.Helper()
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Syntax: proto.String("proto3"), Name: proto.String("test/v1/events.proto"), Package: proto.String("test.v1"),
		Dependency: []string{"privacy/v1/privacy.proto"}, MessageType: messages,
	}, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return file.Messages().Get(0)
}

func TestAContractThatCannotBeSealedIsRefused(t *testing.T) {
	entry := message("MapEntry", field{name: "key", kind: text}, field{name: "value", kind: nested, message: "Person"})
	entry.Options = &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)}
	withMap := message("Event", field{name: "customer_id", kind: text, subject: true},
		field{name: "map", kind: nested, message: "Event.MapEntry", repeated: true})
	withMap.NestedType = []*descriptorpb.DescriptorProto{entry}
	person := message("Person", field{name: "surname", kind: text, personal: true})

	for name, tc := range map[string]struct {
		messages []*descriptorpb.DescriptorProto
		want     error
	}{
		"a personal number": {[]*descriptorpb.DescriptorProto{
			message("Event", field{name: "id", kind: text, subject: true}, field{name: "age", kind: number, personal: true}),
		}, errPersonalKind},
		"personal fields and no subject": {[]*descriptorpb.DescriptorProto{
			message("Event", field{name: "person", kind: nested, message: "Person"}), person,
		}, errSubjectless},
		"a subject that is a number": {[]*descriptorpb.DescriptorProto{
			message("Event", field{name: "id", kind: number, subject: true}),
		}, errSubjectKind},
		"several subjects in one field": {[]*descriptorpb.DescriptorProto{
			message("Event", field{name: "ids", kind: text, repeated: true, subject: true}),
		}, errSubjectKind},
		"persons in a map": {[]*descriptorpb.DescriptorProto{withMap, person}, errPersonalKind},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := planOf(contract(t, tc.messages...)); !errors.Is(err, tc.want) {
				t.Errorf("planOf: %v, want %v", err, tc.want)
			}
		})
	}
}

// family is an event with persons who hold persons, to any depth, and their nicknames.
func family(t *testing.T) protoreflect.MessageDescriptor {
	return contract(t,
		message("Event", field{name: "customer_id", kind: text, subject: true},
			field{name: "parents", kind: nested, message: "Person", repeated: true}, field{name: "note", kind: text}),
		message("Person", field{name: "children", kind: nested, message: "Person", repeated: true},
			field{name: "nicknames", kind: text, repeated: true, personal: true}),
	)
}

func TestSealingGoesThroughListsAndRecursion(t *testing.T) {
	descriptor := family(t)
	event := familyEvent(descriptor)
	before := proto.Clone(event)

	plan, err := planOf(descriptor)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := newSealer(keyring.Key{1}, uuid.Max, string(descriptor.FullName()))
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	err = plan.replace(event.ProtoReflect(), "", func(path, value string) (string, error) {
		paths = append(paths, path)
		return sealer.seal(path, value)
	})
	want := []string{"parents[0].children[0].nicknames[0]", "parents[0].nicknames[1]", "parents[1].nicknames[0]"}
	if err != nil || !slices.Equal(paths, want) {
		t.Fatalf("sealed %q (%v), want %q", paths, err, want)
	}
	if proto.Equal(before, event) {
		t.Fatal("nothing was sealed")
	}
	if err := plan.replace(event.ProtoReflect(), "", sealer.open); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(before, event) {
		t.Errorf("opened: %v, want %v", event, before)
	}
}

func familyEvent(descriptor protoreflect.MessageDescriptor) proto.Message {
	personOf := descriptor.Fields().ByName("parents").Message()
	person := func(children []*dynamicpb.Message, nicknames ...string) *dynamicpb.Message {
		p := dynamicpb.NewMessage(personOf)
		for _, child := range children {
			p.Mutable(personOf.Fields().ByName("children")).List().Append(protoreflect.ValueOfMessage(child))
		}
		for _, nickname := range nicknames {
			p.Mutable(personOf.Fields().ByName("nicknames")).List().Append(protoreflect.ValueOfString(nickname))
		}
		return p
	}
	child := person(nil, "kid")
	event := dynamicpb.NewMessage(descriptor)
	event.Set(descriptor.Fields().ByName("note"), protoreflect.ValueOfString("open"))
	parents := event.Mutable(descriptor.Fields().ByName("parents")).List()
	parents.Append(protoreflect.ValueOfMessage(person([]*dynamicpb.Message{child}, "", "ma")))
	parents.Append(protoreflect.ValueOfMessage(person(nil, "pa")))
	return event
}

// A contract's second version stands beside the first: what was written as one
// is read as one.
func TestVersionsOfAnEventStandSideBySide(t *testing.T) {
	one := &Type{Name: "test.Event", Version: "v1", Schema: "test.v1.Event"}
	two := &Type{Name: "test.Event", Version: "v2", Schema: "test.v2.Event"}
	r := &registry{byName: map[string][]*Type{"test.Event": {one, two}}}
	for schema, want := range map[string]*Type{"test.v1.Event": one, "test.v2.Event": two, "": one} {
		if got, err := r.find("test.Event", schema); err != nil || got != want {
			t.Errorf("find(%q): %v, %v; want %v", schema, got, err, want)
		}
	}
	if _, err := r.find("test.Event", "test.v3.Event"); !errors.Is(err, ErrUnknownType) {
		t.Errorf("find v3: %v, want ErrUnknownType", err)
	}
}

func TestPaddingComesOff(t *testing.T) {
	for n := range 3 * blockSize {
		value := string(make([]byte, n)) + "\x80"
		padded := pad(value)
		if len(padded)%blockSize != 0 || len(padded) <= len(value) {
			t.Errorf("%d bytes are padded to %d", len(value), len(padded))
		}
		if got, err := unpad(padded); err != nil || got != value {
			t.Errorf("%d bytes come back as %d (%v)", len(value), len(got), err)
		}
	}
	if _, err := unpad(make([]byte, blockSize)); !errors.Is(err, ErrTampered) {
		t.Errorf("unpad of zeros: %v, want ErrTampered", err)
	}
}

// An erased event still shows nothing that was written in clear.
func TestAnErasedEventThatWasTamperedWithIsAnError(t *testing.T) {
	ring := keyring.Memory()
	ctx := context.Background()
	if _, err := ring.Key(ctx, "contact:c1"); err != nil {
		t.Fatal(err)
	}
	if err := ring.Destroy(ctx, "contact:c1", keyring.Erasure{}); err != nil {
		t.Fatal(err)
	}
	c, err := New(ring)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Decode(ctx, eventlog.Event{NewEvent: eventlog.NewEvent{
		Type: "channel.IdentityClaimed", Data: []byte(`{"contactId":"c1","email":"ada@example.org"}`),
		Metadata: []byte(`{"sealedFor":"contact:c1"}`),
	}})
	if !errors.Is(err, ErrTampered) {
		t.Errorf("Decode: %v, want ErrTampered", err)
	}
}
