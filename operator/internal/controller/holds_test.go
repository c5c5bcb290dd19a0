package controller

import "testing"

// list and object make what an API server answers.
type (
	list   = []any
	object = map[string]any
)

func TestWhatHoldsNeedsNoWrite(t *testing.T) {
	named := func(name string, more ...string) object {
		o := object{"name": name}
		for i := 0; i < len(more); i += 2 {
			o[more[i]] = more[i+1]
		}
		return o
	}
	for name, tc := range map[string]struct {
		live, desired any
		want          bool
	}{
		"the same":                        {object{"a": int64(1)}, object{"a": int64(1)}, true},
		"more is there":                   {object{"a": int64(1), "b": "default"}, object{"a": int64(1)}, true},
		"less is there":                   {object{}, object{"a": int64(1)}, false},
		"another value":                   {object{"a": int64(2)}, object{"a": int64(1)}, false},
		"another kind of value":           {object{"a": list{}}, object{"a": "x"}, false},
		"an empty object that is there":   {object{"emptyDir": object{}}, object{"emptyDir": object{}}, true},
		"an empty object that is not":     {object{}, object{"emptyDir": object{}}, false},
		"named items in another order":    {list{named("b"), named("a")}, list{named("a"), named("b")}, true},
		"a named item that others add":    {list{named("a"), named("b")}, list{named("a")}, true},
		"a named item that is gone":       {list{named("b")}, list{named("a")}, false},
		"a named item that was changed":   {list{named("a", "value", "2")}, list{named("a", "value", "1")}, false},
		"a named item with defaults":      {list{named("a", "value", "1", "kind", "x")}, list{named("a", "value", "1")}, true},
		"plain items":                     {list{"x", "y"}, list{"x", "y"}, true},
		"plain items in another order":    {list{"y", "x"}, list{"x", "y"}, false},
		"a plain item too many":           {list{"x", "y"}, list{"x"}, false},
		"a list where there is none":      {nil, list{"x"}, false},
		"an object where there is a list": {list{"x"}, object{"a": "x"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := holds(tc.live, tc.desired); got != tc.want {
				t.Errorf("holds(%v, %v) = %v, want %v", tc.live, tc.desired, got, tc.want)
			}
		})
	}
}
