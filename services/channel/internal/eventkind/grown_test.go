package eventkind

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// anySchema draws a schema of the language. Names, values and limits are few, so
// that two schemas have to do with each other, and data fit now and then.
func anySchema(t *rapid.T, depth int) map[string]any {
	types := []string{"string", "integer", "number", "boolean"}
	if depth < 3 {
		types = append(types, "object", "array")
	}
	node := map[string]any{"type": rapid.SampledFrom(types).Draw(t, "type")}
	limit := func(name string) {
		if rapid.Bool().Draw(t, "has "+name) {
			node[name] = float64(rapid.IntRange(0, 3).Draw(t, name))
		}
	}
	switch node["type"] {
	case "object":
		return anyObject(t, depth)
	case "array":
		limit("minItems")
		limit("maxItems")
		node["items"] = anySchema(t, depth+1)
	case "string":
		limit("minLength")
		limit("maxLength")
		if rapid.IntRange(0, 3).Draw(t, "has pattern") == 0 {
			node["pattern"] = rapid.SampledFrom([]string{"^a", "b$"}).Draw(t, "pattern")
		}
		if rapid.IntRange(0, 3).Draw(t, "has enum") == 0 {
			node["enum"] = toAny(rapid.SliceOfNDistinct(rapid.SampledFrom(texts), 1, 3, rapid.ID[string]).Draw(t, "enum"))
		}
	case "integer", "number":
		limit("minimum")
		limit("maximum")
	}
	return node
}

var texts = []string{"", "a", "b", "ab", "abb"}

func toAny(values []string) (all []any) {
	for _, v := range values {
		all = append(all, v)
	}
	return all
}

func anyObject(t *rapid.T, depth int) map[string]any {
	properties, required := map[string]any{}, []any{}
	for _, name := range []string{"x", "y"} {
		if rapid.Bool().Draw(t, "has "+name) {
			properties[name] = anySchema(t, depth+1)
			if rapid.Bool().Draw(t, "requires "+name) {
				required = append(required, name)
			}
		}
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties, "required": required}
}

// changed draws a schema that differs from one in a few places, or nowhere.
func changed(t *rapid.T, node map[string]any, depth int) map[string]any {
	if rapid.IntRange(0, 19).Draw(t, "another") == 0 && depth > 1 {
		return anySchema(t, depth)
	}
	next := maps.Clone(node)
	for _, limit := range []string{"minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum", "pattern", "enum"} {
		was, has := next[limit]
		switch n, isNumber := was.(float64); rapid.IntRange(0, 9).Draw(t, "change "+limit) {
		case 0:
			delete(next, limit)
		case 1:
			if isNumber {
				next[limit] = n + 1
			}
		case 2:
			if isNumber {
				next[limit] = max(0, n-1)
			}
		case 3:
			if values, ok := was.([]any); ok && has {
				next[limit] = append(slices.Clone(values), "abc")
			}
		}
	}
	if items, ok := next["items"].(map[string]any); ok {
		next["items"] = changed(t, items, depth+1)
	}
	if properties, ok := next["properties"].(map[string]any); ok {
		properties = maps.Clone(properties)
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			properties[name] = changed(t, properties[name].(map[string]any), depth+1)
		}
		if rapid.Bool().Draw(t, "has z") {
			properties["z"] = anySchema(t, depth+1)
		}
		next["properties"] = properties
	}
	return next
}

// anyData draws data that may fit a schema: it looks at it now and then.
func anyData(t *rapid.T, node map[string]any) any {
	switch node["type"] {
	case "object":
		data := map[string]any{}
		properties := node["properties"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			if rapid.IntRange(0, 3).Draw(t, "give "+name) > 0 {
				data[name] = anyData(t, properties[name].(map[string]any))
			}
		}
		return data
	case "array":
		data := []any{}
		for range rapid.IntRange(0, 4).Draw(t, "items") {
			data = append(data, anyData(t, node["items"].(map[string]any)))
		}
		return data
	case "string":
		return rapid.SampledFrom(texts).Draw(t, "text")
	case "boolean":
		return rapid.Bool().Draw(t, "bool")
	}
	return float64(rapid.IntRange(-1, 4).Draw(t, "number"))
}

// Whatever a schema takes, its next version takes, and what must be there stays:
// held against a library that knows nothing of versions.
func TestTheNextVersionTakesWhatTheLastOneTakes(t *testing.T) {
	pairs, held, refused := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		old := anyObject(rt, 1)
		next := changed(rt, old, 1)
		was, wrong := parse(old)
		is, alsoWrong := parse(next)
		if len(wrong)+len(alsoWrong) > 0 {
			rt.Fatalf("not of the language: %v, %v", wrong, alsoWrong)
		}
		if len(grown("schema", was.doc, is.doc)) > 0 {
			refused++
			return
		}
		pairs++
		for range 20 {
			data := anyData(rt, old).(map[string]any)
			if len(was.check("data", data)) > 0 {
				continue
			}
			held++
			if violations := is.check("data", data); len(violations) > 0 {
				rt.Fatalf("%s fits %s, but not %s, which was taken for its next version: %v", text(data), was.text, is.text, violations)
			}
		}
		for _, name := range names(old["required"]) {
			if !slices.Contains(names(next["required"]), name) {
				rt.Fatalf("%s is not required any more", name)
			}
		}
	})
	t.Logf("%d next versions were held against %d data; %d were refused", pairs, held, refused)
	if pairs == 0 || held == 0 || refused == 0 {
		t.Error("the test saw nothing")
	}
}

// Each version follows the one before, so the last one takes what any took.
func TestVersionsFollowEachOther(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a := anyObject(rt, 1)
		b := changed(rt, a, 1)
		c := changed(rt, b, 1)
		follows := func(old, next map[string]any) bool { return len(grown("schema", old, next)) == 0 }
		if !follows(a, a) {
			rt.Fatalf("%s does not follow itself: %v", text(a), grown("schema", a, a))
		}
		if follows(a, b) && follows(b, c) && !follows(a, c) {
			rt.Fatalf("%s, %s, %s: the third follows the second only", text(a), text(b), text(c))
		}
	})
}

func text(o map[string]any) string {
	raw, err := json.Marshal(o)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(raw)
}
