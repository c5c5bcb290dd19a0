package eventkind

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/triangle-suite/triangle/services/internal/fault"
)

// grown tells what keeps a schema from being the next version of another one.
//
//	may come      properties that are not required; values of an enum
//	may go        an enum, a pattern, a limit
//	may widen     a limit
//	may change    title, description
//	may not       anything else
//
// So whatever the earlier one takes, the next one takes, and what every event of
// the earlier one holds, every event of the next one holds.
func grown(field string, old, next map[string]any) (broken []fault.Violation) {
	breaks := func(keyword, format string, args ...any) {
		broken = append(broken, fault.Field(field+"."+keyword, format, args...))
	}
	if old["type"] != next["type"] {
		breaks("type", "must stay %v", old["type"])
		return broken
	}
	for _, keyword := range []string{"minLength", "minItems", "minimum"} {
		if !wider(old[keyword], next[keyword], func(old, next float64) bool { return next <= old }) {
			breaks(keyword, "must not be raised, nor come anew")
		}
	}
	for _, keyword := range []string{"maxLength", "maxItems", "maximum"} {
		if !wider(old[keyword], next[keyword], func(old, next float64) bool { return next >= old }) {
			breaks(keyword, "must not be lowered, nor come anew")
		}
	}
	if next["pattern"] != nil && next["pattern"] != old["pattern"] {
		breaks("pattern", "must stay, or go")
	}
	if next["enum"] != nil && !hasAll(next["enum"], old["enum"]) {
		breaks("enum", "must keep the values that it had, and must not come anew")
	}
	if !slices.Equal(names(old["required"]), names(next["required"])) {
		breaks("required", "must stay as it is: %s", strings.Join(names(old["required"]), ", "))
	}
	return append(broken, grownBelow(field, old, next)...)
}

// grownBelow looks at what is within: the items of an array, the properties of an
// object.
func grownBelow(field string, old, next map[string]any) (broken []fault.Violation) {
	if items, ok := old["items"].(map[string]any); ok {
		nextItems, _ := next["items"].(map[string]any)
		broken = append(broken, grown(field+".items", items, nextItems)...)
	}
	properties, _ := old["properties"].(map[string]any)
	nextProperties, _ := next["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		was, _ := properties[name].(map[string]any)
		is, stays := nextProperties[name].(map[string]any)
		if !stays {
			broken = append(broken, fault.Field(field+".properties."+name, "must stay"))
			continue
		}
		broken = append(broken, grown(field+".properties."+name, was, is)...)
	}
	return broken
}

// wider tells whether a limit has stayed, gone or widened.
func wider(old, next any, widened func(old, next float64) bool) bool {
	if next == nil {
		return true
	}
	was, had := old.(float64)
	is, has := next.(float64)
	return had && has && widened(was, is)
}

// hasAll tells whether a list has all values of another one, which is there.
func hasAll(list, of any) bool {
	all, there := of.([]any)
	values, _ := list.([]any)
	return there && !slices.ContainsFunc(all, func(v any) bool {
		return !slices.ContainsFunc(values, func(w any) bool { return reflect.DeepEqual(v, w) })
	})
}
