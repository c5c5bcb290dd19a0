package eventkind

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/triangle-suite/triangle/services/internal/fault"
)

// Keywords of the part of JSON Schema that kinds are described in. It is small, so
// that whether one schema takes all that another one takes can be told by looking
// at both (see grown), and a person can read it. It has no references, and so
// reaches for nothing outside.
var (
	common = []string{"type", "title", "description"}
	byType = map[string][]string{
		"object":  {"properties", "required", "additionalProperties"},
		"array":   {"items", "minItems", "maxItems"},
		"string":  {"enum", "minLength", "maxLength", "pattern"},
		"integer": {"enum", "minimum", "maximum"},
		"number":  {"enum", "minimum", "maximum"},
		"boolean": {},
	}
)

const (
	draft       = "https://json-schema.org/draft/2020-12/schema"
	deepest     = 5
	mostOfThese = 100 // properties of an object
)

// language checks that a schema keeps to the language. What the draft itself says
// of a keyword's value, the compiler checks.
type language struct{ violations []fault.Violation }

func (w *language) fail(field, format string, args ...any) {
	w.violations = append(w.violations, fault.Field(field, format, args...))
}

func (w *language) root(doc map[string]any) {
	if doc["type"] != "object" {
		w.fail("schema.type", "must be object: what an event says has names")
		return
	}
	rest := maps.Clone(doc)
	if given, ok := rest["$schema"]; ok && given != draft {
		w.fail("schema.$schema", "must be %s, or left out", draft)
	}
	delete(rest, "$schema")
	w.node("schema", rest, 1)
}

func (w *language) node(field string, node map[string]any, depth int) {
	if depth > deepest {
		w.fail(field, "lies deeper than %d levels", deepest)
		return
	}
	name, _ := node["type"].(string)
	keywords, ok := byType[name]
	if !ok {
		w.fail(field+".type", "must be one of %s", strings.Join(slices.Sorted(maps.Keys(byType)), ", "))
		return
	}
	for _, keyword := range slices.Sorted(maps.Keys(node)) {
		if !slices.Contains(common, keyword) && !slices.Contains(keywords, keyword) {
			w.fail(field+"."+keyword, "is not taken with the type %s: write %s", name, strings.Join(slices.Concat(common, keywords), ", "))
		}
	}
	switch name {
	case "object":
		w.object(field, node, depth)
	case "array":
		w.below(field+".items", node["items"], depth)
	}
}

func (w *language) object(field string, node map[string]any, depth int) {
	if node["additionalProperties"] != false {
		w.fail(field+".additionalProperties", "must be false: what the schema does not name could not be added to it later")
	}
	properties, ok := node["properties"].(map[string]any)
	if !ok {
		w.fail(field+".properties", "is missing: name what there is to say")
		return
	}
	if len(properties) > mostOfThese {
		w.fail(field+".properties", "must be at most %d", mostOfThese)
	}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		w.below(field+".properties."+name, properties[name], depth)
	}
	for _, name := range names(node["required"]) {
		if _, named := properties[name]; !named {
			w.fail(field+".required", "names %s, which is no property", name)
		}
	}
}

func (w *language) below(field string, node any, depth int) {
	schema, ok := node.(map[string]any)
	if !ok {
		w.fail(field, "must be a schema: an object with a type")
		return
	}
	w.node(field, schema, depth+1)
}

// names are the texts of a list, sorted.
func names(list any) (all []string) {
	values, _ := list.([]any)
	for _, v := range values {
		all = append(all, fmt.Sprint(v))
	}
	slices.Sort(all)
	return all
}
