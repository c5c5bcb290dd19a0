package serve

import (
	"slices"
	"strings"
)

// parameter is a parameter of an operation, as OpenAPI describes it.
type parameter struct {
	Name, In string
	Enum     []string
	Items    *schema
	Schema   *schema // of the body
}

// schema describes what a body, or a field of one, holds.
type schema struct {
	Ref        string `json:"$ref"`
	Enum       []string
	Properties map[string]schema
	Items      *schema
}

// valuesIn finds, in the definitions of an OpenAPI document, which fields have values
// with names.
type valuesIn map[string]schema

// gather notes the values of a parameter, or of the fields of a body.
func (d valuesIn) gather(p parameter, into map[string][]string) {
	described := schema{Enum: p.Enum, Items: p.Items}
	if p.Schema != nil {
		described = *p.Schema
	}
	d.look(p.Name, described, into, map[string]bool{})
}

// look notes the values of a field and of those within it. Of two fields of one name
// that have different values none are noted, as an error names a field by that alone.
func (d valuesIn) look(field string, s schema, into map[string][]string, seen map[string]bool) {
	if name, is := strings.CutPrefix(s.Ref, "#/definitions/"); is {
		if s = d[name]; len(s.Enum) == 0 {
			if seen[name] {
				return // it holds itself
			}
			seen[name] = true
		}
	}
	if s.Items != nil {
		d.look(field, *s.Items, into, seen)
		return
	}
	for name, property := range s.Properties {
		d.look(name, property, into, seen)
	}
	if len(s.Enum) == 0 {
		return
	}
	field = snakeCase(field)
	if known, ok := into[field]; ok && !slices.Equal(known, s.Enum) {
		into[field] = nil
		return
	}
	into[field] = s.Enum
}

// nameValues completes what is said of a value that can't be read with those that
// could be.
func (rs routes) nameValues(p *problem, method, path string) {
	known := rs.methodsOf(path)[method].values
	for i, v := range p.Violations {
		names := slices.DeleteFunc(slices.Clone(known[snakeCase(v.Field)]), func(name string) bool { return strings.HasSuffix(name, "_UNSPECIFIED") })
		if len(names) == 0 {
			continue
		}
		which := "; it is one of " + strings.Join(names, ", ")
		p.Violations[i].Description += which
		p.Detail += which
	}
}
