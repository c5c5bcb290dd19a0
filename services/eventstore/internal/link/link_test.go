package link

import (
	"fmt"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, data := range []string{"0@s", "12@a@b", "@", "1@", "-1@s", "x@s", "99999999999999999999@s"} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		name, revision, ok := Parse(data)
		if !ok {
			return
		}
		if name == "" || revision < 0 {
			t.Fatalf("%q is read as %d@%s", data, revision, name)
		}
		again, at, ok := Parse(fmt.Appendf(nil, "%d@%s", revision, name))
		if !ok || again != name || at != revision {
			t.Errorf("%d@%s is read as %d@%s", revision, name, at, again)
		}
	})
}
