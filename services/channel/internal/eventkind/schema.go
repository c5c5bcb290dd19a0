package eventkind

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/triangle-suite/triangle/services/internal/fault"
)

// longestSchema is how long a schema may be, in bytes of JSON without spaces.
const longestSchema = 16_000

// schema is a JSON Schema that data are held against.
type schema struct {
	text     string // JSON in one form, to be compared and kept
	doc      map[string]any
	compiled *jsonschema.Schema
}

// parse makes a schema of JSON that was decoded, or tells all that is wrong with
// it.
func parse(doc map[string]any) (*schema, []fault.Violation) {
	var w language
	w.root(doc)
	if len(w.violations) > 0 {
		return nil, w.violations
	}
	text, err := json.Marshal(doc) // the keys of objects in their order
	if err != nil {
		return nil, []fault.Violation{fault.Field("schema", "is no JSON")}
	}
	if len(text) > longestSchema {
		return nil, []fault.Violation{fault.Field("schema", "must be at most %d bytes", longestSchema)}
	}
	compiled, err := compile(doc)
	if err != nil {
		return nil, []fault.Violation{fault.Field("schema", "is no JSON Schema of the draft 2020-12: %s", where(err))}
	}
	return &schema{text: string(text), doc: doc, compiled: compiled}, nil
}

// nowhere is where references may lead: the language has none.
type nowhere struct{}

// Load implements jsonschema.URLLoader.
func (nowhere) Load(url string) (any, error) { return nil, fmt.Errorf("%s is not to be had", url) }

func compile(doc map[string]any) (*jsonschema.Schema, error) {
	const name = "schema.json"
	c := jsonschema.NewCompiler()
	c.UseLoader(nowhere{})
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource(name, any(doc)); err != nil {
		return nil, err
	}
	return c.Compile(name)
}

// where says where in a schema an error lies, and what it is.
func where(err error) string {
	var invalid *jsonschema.SchemaValidationError
	if !errors.As(err, &invalid) {
		return err.Error()
	}
	var refused *jsonschema.ValidationError
	if !errors.As(invalid.Err, &refused) {
		return invalid.Err.Error()
	}
	var all []string
	for _, v := range violationsOf("schema", refused) {
		all = append(all, v.Field+" "+v.Description)
	}
	return strings.Join(all, "; ")
}

// check tells all that is wrong with data. It repeats no value, which may be
// personal.
func (s *schema) check(field string, data map[string]any) []fault.Violation {
	err := s.compiled.Validate(any(data))
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return []fault.Violation{fault.Field(field, "can't be held against the schema")}
	}
	return violationsOf(field, invalid)
}

// violationsOf lists what an error consists of, by field.
func violationsOf(field string, err *jsonschema.ValidationError) []fault.Violation {
	var all []fault.Violation
	var visit func(*jsonschema.ValidationError)
	visit = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			visit(cause)
		}
		if len(e.Causes) == 0 {
			all = append(all, describe(within(field, e.InstanceLocation), e.ErrorKind)...)
		}
	}
	visit(err)
	slices.SortFunc(all, func(a, b fault.Violation) int {
		return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Description, b.Description))
	})
	return slices.Compact(all)
}

// within is the name of a field within another one: data.items[2].price.
func within(field string, location []string) string {
	for _, part := range location {
		if _, err := strconv.ParseUint(part, 10, 32); err == nil {
			field += "[" + part + "]"
		} else {
			field += "." + part
		}
	}
	return field
}

func describe(field string, what jsonschema.ErrorKind) []fault.Violation {
	says := func(format string, args ...any) []fault.Violation {
		return []fault.Violation{fault.Field(field, format, args...)}
	}
	each := func(names []string, format string) (all []fault.Violation) {
		for _, name := range names {
			all = append(all, fault.Field(field+"."+name, "%s", format))
		}
		return all
	}
	switch k := what.(type) {
	case *kind.Required:
		return each(k.Missing, "is missing")
	case *kind.AdditionalProperties:
		return each(k.Properties, "is not in the schema")
	case *kind.Type:
		return says("must be of the type %s", strings.Join(k.Want, " or "))
	case *kind.Enum:
		return says("must be one of %s", list(k.Want))
	case *kind.MinLength:
		return says("must be at least %d characters", k.Want)
	case *kind.MaxLength:
		return says("must be at most %d characters", k.Want)
	case *kind.Pattern:
		return says("must match %s", k.Want)
	case *kind.Format:
		return says("must be a %s", k.Want)
	case *kind.Minimum:
		return says("must be at least %s", k.Want.RatString())
	case *kind.Maximum:
		return says("must be at most %s", k.Want.RatString())
	case *kind.MinItems:
		return says("must have at least %d items", k.Want)
	case *kind.MaxItems:
		return says("must have at most %d items", k.Want)
	}
	return says("does not fit the schema")
}

func list(values []any) string {
	all := make([]string, 0, len(values))
	for _, v := range values {
		all = append(all, fmt.Sprint(v))
	}
	return strings.Join(all, ", ")
}
