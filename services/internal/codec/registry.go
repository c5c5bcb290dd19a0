package codec

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	// The packages whose events there are.
	_ "github.com/triangle-suite/triangle/contracts/channel/v1"
	_ "github.com/triangle-suite/triangle/contracts/flow/v1"
	_ "github.com/triangle-suite/triangle/contracts/marketing/v1"
	_ "github.com/triangle-suite/triangle/contracts/sales/v1"
)

// ErrUnknownType tells that an event, or a message that is to become one, is of
// no type and version that this program knows. Either the writer is newer than
// the reader, or the event is none of ours.
var ErrUnknownType = errors.New("unknown event type")

// Type is an event type in one version. A second version of an event is the
// message of the same name in the service's next package: sales.v2.OrderPlaced is
// written as sales.OrderPlaced, too, and the schema in the metadata tells which of
// the two it is. An event that is new to the world is a new name, in whichever
// package is current. Either is read first and written later: see flows.Gated.
type Type struct {
	// Name is the event type in the store, such as channel.ContactStarted.
	Name string
	// Version is the version of the contract, such as v1.
	Version string
	// Schema is the full name of the protobuf message.
	Schema protoreflect.FullName

	message protoreflect.MessageType
	plan    *plan
	form    *form
}

// New returns an empty message of the type.
func (t *Type) New() proto.Message { return t.message.New().Interface() }

// registry knows every event type.
type registry struct {
	bySchema map[protoreflect.FullName]*Type
	byName   map[string][]*Type // the oldest version first
}

// eventsFile is where a service's events are: <service>/<version>/events.proto.
var eventsFile = regexp.MustCompile(`^[a-z]+/v[0-9]+/events\.proto$`)

// known is the registry of the linked contracts. Its error is a mistake in a
// contract.
var known = sync.OnceValues(func() (*registry, error) {
	r := &registry{bySchema: map[protoreflect.FullName]*Type{}, byName: map[string][]*Type{}}
	var failed error
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if eventsFile.MatchString(file.Path()) {
			failed = errors.Join(failed, r.addFile(file))
		}
		return true
	})
	for _, versions := range r.byName {
		slices.SortFunc(versions, func(a, b *Type) int {
			return cmp.Or(cmp.Compare(len(a.Version), len(b.Version)), cmp.Compare(a.Version, b.Version))
		})
	}
	return r, failed
})

func (r *registry) addFile(file protoreflect.FileDescriptor) error {
	var failed error
	for i := range file.Messages().Len() {
		failed = errors.Join(failed, r.add(file.Messages().Get(i)))
	}
	return failed
}

func (r *registry) add(message protoreflect.MessageDescriptor) error {
	messageType, err := protoregistry.GlobalTypes.FindMessageByName(message.FullName())
	if err != nil {
		return fmt.Errorf("event %s: %w", message.FullName(), err)
	}
	plan, err := planOf(message)
	if err != nil {
		return fmt.Errorf("event %s: %w", message.FullName(), err)
	}
	name, version := nameOf(message.FullName())
	t := &Type{Name: name, Version: version, Schema: message.FullName(), message: messageType, plan: plan, form: formOf(message)}
	r.bySchema[t.Schema] = t
	r.byName[name] = append(r.byName[name], t)
	return nil
}

// nameOf splits channel.v1.ContactStarted into channel.ContactStarted and v1.
func nameOf(schema protoreflect.FullName) (name, version string) {
	service, rest, _ := strings.Cut(string(schema), ".")
	version, message, _ := strings.Cut(rest, ".")
	return service + "." + message, version
}

// find returns the type that an event was written as. An event without a schema,
// as somebody may append by hand, is read as the oldest version.
func (r *registry) find(name, schema string) (*Type, error) {
	for _, t := range r.byName[name] {
		if schema == "" || t.Schema == protoreflect.FullName(schema) {
			return t, nil
		}
	}
	if schema == "" {
		return nil, fmt.Errorf("%w %q", ErrUnknownType, name)
	}
	return nil, fmt.Errorf("%w %q of schema %q", ErrUnknownType, name, schema)
}

func (r *registry) of(message proto.Message) (*Type, error) {
	if message == nil {
		return nil, fmt.Errorf("%w: no message", ErrUnknownType)
	}
	schema := message.ProtoReflect().Descriptor().FullName()
	if t, ok := r.bySchema[schema]; ok {
		return t, nil
	}
	return nil, fmt.Errorf("%w: %s stands in no events.proto", ErrUnknownType, schema)
}

// Types lists every event type in every version, in the order of their names.
func Types() ([]*Type, error) {
	r, err := known()
	if err != nil {
		return nil, err
	}
	var all []*Type
	for _, versions := range r.byName {
		all = append(all, versions...)
	}
	slices.SortFunc(all, func(a, b *Type) int { return cmp.Compare(a.Schema, b.Schema) })
	return all, nil
}

// TypeOf returns the event type that a message is written as.
func TypeOf(message proto.Message) (*Type, error) {
	r, err := known()
	if err != nil {
		return nil, err
	}
	return r.of(message)
}
