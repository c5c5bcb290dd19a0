package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// canaries are values that must show nowhere, each with all the ways in which it might.
type canaries struct {
	all map[string][][]byte // what it would look like, by the value
}

// plant adds a value, and returns it.
func (c *canaries) plant(value string) string {
	if c.all == nil {
		c.all = map[string][][]byte{}
	}
	low := strings.ToLower(value)
	forms := []string{low, strings.ToLower(url.QueryEscape(value)), strings.ToLower(url.PathEscape(value)), hex.EncodeToString([]byte(value))}
	for _, one := range forms {
		c.all[value] = append(c.all[value], []byte(one))
	}
	for _, spelled := range []string{value, low, strings.ToUpper(value)} {
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			c.all[value] = append(c.all[value], inBase64(encoding, spelled)...)
		}
	}
	return value
}

// inBase64 returns what a value looks like within a longer text that is encoded: it
// begins at any of three places of a group, and its first and last letters depend on
// what stands around.
func inBase64(encoding *base64.Encoding, value string) (forms [][]byte) {
	for before := range 3 {
		encoded := encoding.EncodeToString(append(make([]byte, before), value...))
		from, to := (before*8+5)/6, (before+len(value))*8/6
		forms = append(forms, []byte(strings.ToLower(encoded[from:to])))
	}
	return forms
}

// found returns the values that a text holds. Letters count as the same whatever their
// case; of so many of them none is there by chance.
func (c *canaries) found(text []byte) (values []string) {
	text = bytes.ToLower(text)
next:
	for value, forms := range c.all {
		for _, form := range forms {
			if bytes.Contains(text, form) {
				values = append(values, value)
				continue next
			}
		}
	}
	return values
}

func TestACanaryIsFoundHoweverItIsWritten(t *testing.T) {
	var c canaries
	const value = "Canary.Surname@example.org"
	c.plant(value)
	for name, text := range map[string]string{
		"as it is":              "the address " + value + " is unknown",
		"in other letters":      strings.ToUpper(value),
		"in a URL":              "/v1?email=canary.surname%40example.org",
		"in base64":             base64.StdEncoding.EncodeToString([]byte(value)),
		"in base64, amid":       base64.StdEncoding.EncodeToString([]byte(`{"email":"` + value + `","n":1}`)),
		"in base64, elsewhere":  base64.URLEncoding.EncodeToString([]byte(`{"e":"` + strings.ToLower(value) + `"}`)),
		"in base64, once again": base64.RawURLEncoding.EncodeToString([]byte(`x` + value)),
		"in hexadecimals":       hex.EncodeToString([]byte("user " + value)),
	} {
		if got := c.found([]byte(text)); len(got) != 1 || got[0] != value {
			t.Errorf("%s: found %q in %s", name, got, text)
		}
	}
	if got := c.found([]byte("canary surname at example org, Y2FuYXJ5")); got != nil {
		t.Errorf("found %q where none is", got)
	}
}

// want no canary in a text that has a name.
func (c *canaries) wantNone(t *testing.T, where string, text []byte) {
	t.Helper()
	found := c.found(text)
	if len(found) == 0 {
		return
	}
	t.Errorf("%s holds %q", where, found)
	for line := range bytes.Lines(text) {
		if len(c.found(line)) > 0 && len(line) < 4000 {
			t.Logf("%s: %s", where, line)
			return
		}
	}
}

// readLogs returns what the suite has logged, by file.
func (s *suite) readLogs() map[string][]byte {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.data, "logs", "*"))
	if err != nil || len(files) == 0 {
		s.t.Fatalf("there are no logs: %v", err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		if all[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			s.t.Fatal(err)
		}
	}
	return all
}
