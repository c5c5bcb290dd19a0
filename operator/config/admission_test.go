package config_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/triangle-suite/triangle/operator/apitest"
)

// change is what a case writes into an example: a value under a path such as
// spec.steps.0.name. A value of nothing takes what is there away.
type change map[string]any

type nothing struct{}

type list = []any

type object = map[string]any

// admission is one case: an example with changes is refused with these words, or
// admitted when there are none.
type admission struct {
	changes change
	refused string
}

// testAdmission tries each case by a dry run of a creation.
func testAdmission(t *testing.T, example string, cases map[string]admission) {
	server := apitest.Start(t)
	c, namespace := server.Client(t), server.Namespace(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := sample(t, example, namespace)
			tc.changes.apply(t, o)
			checkVerdict(t, c.Create(t.Context(), o, client.DryRunAll), tc.refused)
		})
	}
}

// testChange tries each case by a dry run of an update of what was created.
func testChange(t *testing.T, example string, cases map[string]admission) {
	server := apitest.Start(t)
	c := server.Client(t)
	created := sample(t, example, server.Namespace(t))
	if err := c.Create(t.Context(), created); err != nil {
		t.Fatal(err)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := created.DeepCopy()
			tc.changes.apply(t, o)
			checkVerdict(t, c.Update(t.Context(), o, client.DryRunAll), tc.refused)
		})
	}
}

func checkVerdict(t *testing.T, err error, refused string) {
	t.Helper()
	switch {
	case refused == "" && err != nil:
		t.Errorf("it is refused: %v", err)
	case refused != "" && err == nil:
		t.Errorf("it is admitted, want it refused with %q", refused)
	case refused != "" && !strings.Contains(err.Error(), refused):
		t.Errorf("it is refused with %q, want %q", err, refused)
	}
}

func (c change) apply(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	for path, value := range c {
		if _, away := value.(nothing); !away {
			value = asRead(t, value)
		}
		if _, done := put(o.Object, strings.Split(path, "."), value); !done {
			t.Fatalf("the example has no %s", path)
		}
	}
}

// asRead is the value as it would be read from a file.
func asRead(t *testing.T, value any) any {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var read any
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	return read
}

// put returns in with the value under the path; false if nothing leads there.
func put(in any, path []string, value any) (any, bool) {
	if len(path) == 0 {
		return value, true
	}
	switch in := in.(type) {
	case object:
		return in, putField(in, path, value)
	case list:
		i, err := strconv.Atoi(path[0])
		if err != nil || i >= len(in) {
			return in, false
		}
		changed, done := put(in[i], path[1:], value)
		in[i] = changed
		return in, done
	}
	return in, false
}

func putField(in object, path []string, value any) bool {
	before, there := in[path[0]]
	if len(path) == 1 {
		if _, away := value.(nothing); away {
			delete(in, path[0])
			return there
		}
		in[path[0]] = value
		return true
	}
	changed, done := put(before, path[1:], value)
	if done {
		in[path[0]] = changed
	}
	return done
}

// times repeats what of gives.
func times(n int, of func(i int) any) list {
	var all list
	for i := range n {
		all = append(all, of(i))
	}
	return all
}
