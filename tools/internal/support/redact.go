package support

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// leftOut stands for what somebody wrote in his own words, or set as a value.
const leftOut = "(left out)"

// nobody are those who act and are no persons.
var nobody = []string{"", "triangle-operator", "operator"}

// persons are the keys whose values name somebody.
var persons = []string{"by", "approvedBy"}

// Redactor takes the names of persons, and what they wrote, out of documents: who is the
// same person in two of them still is. It is not safe for concurrent use.
type Redactor struct{ names map[string]string }

// Learn notes the persons that a document names, to be found in all of them.
func (r *Redactor) Learn(document any) {
	walk(document, func(m map[string]any) {
		for _, key := range persons {
			if name, ok := m[key].(string); ok && !slices.Contains(nobody, name) {
				r.learn(name)
			}
		}
	})
}

func (r *Redactor) learn(name string) {
	if r.names == nil {
		r.names = map[string]string{}
	}
	if _, known := r.names[name]; !known {
		r.names[name] = fmt.Sprintf("person-%d", len(r.names)+1)
	}
}

// Redact changes a document, once all are learnt.
func (r *Redactor) Redact(document any) {
	walk(document, func(m map[string]any) {
		for _, key := range persons {
			if name, ok := m[key].(string); ok && !slices.Contains(nobody, name) {
				m[key] = r.names[name]
				if m["reason"] != nil {
					m["reason"] = leftOut
				}
			}
		}
		delete(m, "managedFields")
		if annotations, ok := m["annotations"].(map[string]any); ok {
			delete(annotations, "kubectl.kubernetes.io/last-applied-configuration")
		}
		if env, ok := m["env"].([]any); ok {
			redactValues(env)
		}
		for key, value := range m {
			if text, ok := value.(string); ok {
				m[key] = r.unnamed(text)
			}
		}
	})
}

// redactValues takes the values out of the variables of a container: they are no
// secrets where everybody does what he should.
func redactValues(env []any) {
	for _, one := range env {
		if variable, ok := one.(map[string]any); ok && variable["value"] != nil {
			variable["value"] = leftOut
		}
	}
}

// unnamed replaces the names of persons within a text, where they stand as words: the
// longest first, as one may be part of another one.
func (r *Redactor) unnamed(text string) string {
	for _, name := range slices.SortedFunc(maps.Keys(r.names), func(a, b string) int { return len(b) - len(a) }) {
		if strings.Contains(text, name) {
			text = regexp.MustCompile(`(^|\W)`+regexp.QuoteMeta(name)+`($|\W)`).ReplaceAllString(text, "${1}"+r.names[name]+"${2}")
		}
	}
	return text
}

// walk visits every object of a document, the inner ones first.
func walk(document any, visit func(map[string]any)) {
	switch d := document.(type) {
	case map[string]any:
		for _, inner := range d {
			walk(inner, visit)
		}
		visit(d)
	case []any:
		for _, inner := range d {
			walk(inner, visit)
		}
	}
}
