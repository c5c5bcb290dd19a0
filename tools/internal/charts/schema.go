package charts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/triangle-suite/triangle/contracts/flows"
)

// object is a JSON object.
type object = map[string]any

// ErrNoType says that a default does not tell what a value may be.
var ErrNoType = errors.New("its default does not tell what it may be: say so in a line # @schema {…}")

// Schema makes values.schema.json: nothing may be set that is not there. What a value may
// be follows from its default, and from its comment, which may add to that in JSON or
// YAML on one line, or point elsewhere:
//
//	# @schema {minimum: 1, maximum: 10}
//	# @schema like Triangle.spec.pods.tolerations    a field of a kind
//	# @schema like .channel.replicas                 another value
//
// In JSON {like: …} points in the same way, and {like: catalogue} is the name of a flow.
func Schema(values []*Value, kinds Kinds) ([]byte, error) {
	s := schemas{kinds: kinds}
	properties, err := s.properties(values)
	if err != nil {
		return nil, err
	}
	// What helm hands to a chart that is part of another one.
	properties["global"] = object{"type": "object"}
	root := closed(properties)
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(root); err != nil {
		return nil, fmt.Errorf("write the schema: %w", err)
	}
	return out.Bytes(), nil
}

type schemas struct{ kinds Kinds }

func (s schemas) properties(values []*Value) (object, error) {
	all := object{}
	for _, v := range values {
		schema, err := s.of(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.Path, err)
		}
		if v.Text != "" {
			schema["description"] = v.Text
		}
		all[v.Key] = schema
	}
	return all, nil
}

// of is what a value may be.
func (s schemas) of(v *Value) (object, error) {
	if like, ok := strings.CutPrefix(v.Schema, "like "); ok {
		return s.like(like)
	}
	said := object{}
	if err := yaml.Unmarshal([]byte(v.Schema), &said); err != nil {
		return nil, fmt.Errorf("@schema: %w", err)
	}
	schema, err := s.ofDefault(v, said)
	if err != nil {
		return nil, err
	}
	maps.Copy(schema, said)
	resolved, err := s.resolve(schema)
	if err != nil {
		return nil, err
	}
	return resolved.(object), nil
}

// ofDefault is what follows from a value's default.
func (s schemas) ofDefault(v *Value, said object) (object, error) {
	_, typed := said["type"]
	switch {
	case len(v.Within) > 0 && said["additionalProperties"] == nil:
		properties, err := s.properties(v.Within)
		return closed(properties), err
	case v.Default.Kind == yaml.MappingNode && said["additionalProperties"] != nil:
		return object{"type": "object"}, nil
	case typed:
		return object{}, nil
	case v.Default.Kind == yaml.ScalarNode && types[v.Default.Tag] != "":
		return object{"type": types[v.Default.Tag]}, nil
	default:
		return nil, ErrNoType
	}
}

var types = map[string]string{"!!str": "string", "!!bool": "boolean", "!!int": "integer", "!!float": "number"}

// resolve follows what points elsewhere, wherever it is in a schema.
func (s schemas) resolve(schema any) (any, error) {
	switch schema := schema.(type) {
	case object:
		if to, ok := schema["like"].(string); ok {
			return s.like(to)
		}
		for key, inner := range schema {
			resolved, err := s.resolve(inner)
			if err != nil {
				return nil, err
			}
			schema[key] = resolved
		}
	case []any:
		for i, inner := range schema {
			resolved, err := s.resolve(inner)
			if err != nil {
				return nil, err
			}
			schema[i] = resolved
		}
	}
	return schema, nil
}

func (s schemas) like(to string) (object, error) {
	switch {
	case to == "catalogue":
		var names []any
		for _, f := range flows.Catalogue {
			names = append(names, f.Name)
		}
		return object{"type": "string", "enum": names}, nil
	case strings.HasPrefix(to, "."):
		return object{"$ref": "#/properties/" + strings.ReplaceAll(strings.TrimPrefix(to, "."), ".", "/properties/")}, nil
	default:
		return s.kinds.field(to)
	}
}

// closed lets these properties in and no others. It says so twice: additionalProperties
// is what tools know, and of a value that is to be left out helm tells what it says here.
func closed(properties object) object {
	names := slices.Sorted(maps.Keys(properties))
	known := object{}
	for _, name := range names {
		known[name] = true
	}
	left := object{"const": "left out, as there are only " + strings.Join(names, ", ")}
	return object{
		"type": "object", "properties": properties, "additionalProperties": false,
		"allOf": []any{object{"properties": known, "additionalProperties": left}},
	}
}
