package codec

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	privacyv1 "github.com/triangle-suite/triangle/contracts/privacy/v1"
)

// plan tells which fields of a message are personal, so that messages without
// any cost nothing.
type plan struct {
	subjects []protoreflect.FieldDescriptor // of the event itself, by number
	fields   []planned
}

// planned is a personal field, or one that leads to personal fields.
type planned struct {
	field protoreflect.FieldDescriptor
	into  *plan // nil: personal itself
}

// Mistakes in a contract.
var (
	errPersonalKind = errors.New("is personal, and only strings outside of maps can be sealed")
	errSubjectKind  = errors.New("names a subject, and only a single string can")
	errSubjectless  = errors.New("has personal fields, but none that names their subject")
)

// planOf plans an event type, and refuses one that could not be sealed.
func planOf(event protoreflect.MessageDescriptor) (*plan, error) {
	plans := planner{}
	p, err := plans.plan(event)
	if err != nil {
		return nil, err
	}
	if err := plans.prune(); err != nil {
		return nil, err
	}
	for i := range event.Fields().Len() {
		field := event.Fields().Get(i)
		if !marked(field, privacyv1.E_Subject) {
			continue
		}
		if field.Kind() != protoreflect.StringKind || field.Cardinality() == protoreflect.Repeated {
			return nil, fmt.Errorf("%s %w", field.FullName(), errSubjectKind)
		}
		p.subjects = append(p.subjects, field)
	}
	slices.SortFunc(p.subjects, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number() - b.Number()) })
	if len(p.fields) > 0 && len(p.subjects) == 0 {
		return nil, errSubjectless
	}
	return p, nil
}

func marked(field protoreflect.FieldDescriptor, option protoreflect.ExtensionType) bool {
	is, _ := proto.GetExtension(field.Options(), option).(bool)
	return is
}

// planner plans messages once each, so that one may hold itself.
type planner map[protoreflect.FullName]*plan

func (p planner) plan(message protoreflect.MessageDescriptor) (*plan, error) {
	if begun, ok := p[message.FullName()]; ok {
		return begun, nil
	}
	made := &plan{}
	p[message.FullName()] = made
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		switch {
		case marked(field, privacyv1.E_Personal):
			if field.Kind() != protoreflect.StringKind {
				return nil, fmt.Errorf("%s %w", field.FullName(), errPersonalKind)
			}
			made.fields = append(made.fields, planned{field: field})
		case field.Message() != nil:
			into, err := p.plan(field.Message())
			if err != nil {
				return nil, err
			}
			made.fields = append(made.fields, planned{field: field, into: into})
		}
	}
	return made, nil
}

// prune takes out the fields that lead nowhere: what leads to a personal field,
// however deep, is found by going round until nothing new turns up. A map must
// lead nowhere: its entries have no order that a path could name.
func (p planner) prune() error {
	leads := map[*plan]bool{}
	ends := func(f planned) bool { return f.into == nil || leads[f.into] }
	for grown := true; grown; {
		grown = false
		for _, made := range p {
			if !leads[made] && slices.ContainsFunc(made.fields, ends) {
				leads[made], grown = true, true
			}
		}
	}
	for _, made := range p {
		made.fields = slices.DeleteFunc(made.fields, func(f planned) bool { return !ends(f) })
		for _, f := range made.fields {
			if f.field.IsMap() {
				return fmt.Errorf("%s %w", f.field.FullName(), errPersonalKind)
			}
		}
	}
	return nil
}

// subject returns the name of the key that seals the event: the kind of its
// subject and the subject, such as customer:4711.
func (p *plan) subject(event protoreflect.Message) (string, bool) {
	for _, field := range p.subjects {
		if value := event.Get(field).String(); value != "" {
			return KeyName(strings.TrimSuffix(string(field.Name()), "_id"), value), true
		}
	}
	return "", false
}

// KeyName is the name of a subject's key in the key ring: KeyName("customer", id)
// seals what is known of a customer, KeyName("contact", id) what was said in a
// contact before anybody knew who it was. To erase a person is to destroy both:
// their customer's key, and that of each of their contacts.
func KeyName(kind, id string) string { return kind + ":" + id }

// replace puts with(path, value) for each personal value that is not empty.
func (p *plan) replace(in protoreflect.Message, path string, with func(path, value string) (string, error)) error {
	for _, f := range p.fields {
		if !in.Has(f.field) {
			continue
		}
		if err := f.replace(in, path+string(f.field.Name()), with); err != nil {
			return err
		}
	}
	return nil
}

func (f planned) replace(in protoreflect.Message, path string, with func(path, value string) (string, error)) error {
	switch {
	case f.field.IsList():
		return f.replaceList(in.Mutable(f.field).List(), path, with)
	case f.into != nil:
		return f.into.replace(in.Mutable(f.field).Message(), path+".", with)
	default:
		return replaceValue(in.Get(f.field), path, with, func(v protoreflect.Value) { in.Set(f.field, v) })
	}
}

func (f planned) replaceList(list protoreflect.List, path string, with func(path, value string) (string, error)) error {
	for i := range list.Len() {
		at := path + "[" + strconv.Itoa(i) + "]"
		var err error
		if f.into != nil {
			err = f.into.replace(list.Get(i).Message(), at+".", with)
		} else {
			err = replaceValue(list.Get(i), at, with, func(v protoreflect.Value) { list.Set(i, v) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func replaceValue(
	value protoreflect.Value, path string, with func(path, value string) (string, error), set func(protoreflect.Value),
) error {
	if value.String() == "" {
		return nil
	}
	replaced, err := with(path, value.String())
	if err != nil {
		return fmt.Errorf("field %s: %w", path, err)
	}
	set(protoreflect.ValueOfString(replaced))
	return nil
}
