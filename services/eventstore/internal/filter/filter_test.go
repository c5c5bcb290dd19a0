package filter

import (
	"bytes"
	"errors"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	cases := map[string]struct {
		field    Field
		prefixes []string
		pattern  string
		typ      string
		stream   string
		want     bool
	}{
		"type begins so":              {Type, []string{"a."}, "", "a.Done", "x", true},
		"type begins otherwise":       {Type, []string{"a."}, "", "b.Done", "a.", false},
		"a second prefix":             {Type, []string{"a.", "b."}, "", "b.Done", "x", true},
		"prefixes match more":         {Type, []string{"a.Done"}, "", "a.DoneTwice", "x", true},
		"shorter than the prefix":     {Type, []string{"a.Done"}, "", "a.Do", "x", false},
		"the empty prefix":            {Type, []string{""}, "", "anything", "x", true},
		"stream begins so":            {Stream, []string{"contact-"}, "", "x", "contact-1", true},
		"stream begins otherwise":     {Stream, []string{"contact-"}, "", "contact-", "lead-1", false},
		"pattern on type":             {Type, nil, `^a\.(Done|Begun)$`, "a.Begun", "x", true},
		"pattern on type, no match":   {Type, nil, `^a\.(Done|Begun)$`, "a.Begun2", "x", false},
		"pattern without anchors":     {Type, nil, `one`, "a.Done", "x", true},
		"pattern on stream":           {Stream, nil, `-\d+$`, "x", "contact-12", true},
		"pattern on stream, no match": {Stream, nil, `-\d+$`, "a-1", "contact-x", false},
		"no system events":            {Type, nil, `^[^\$].*`, "$metadata", "x", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f, err := New(tc.field, tc.prefixes, tc.pattern)
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Match([]byte(tc.typ), []byte(tc.stream)); got != tc.want {
				t.Errorf("match is %v, want %v", got, tc.want)
			}
		})
	}
}

func TestTheZeroFilterChoosesAll(t *testing.T) {
	if !(Filter{}).Match([]byte("$any"), []byte("any")) {
		t.Error("the zero filter refuses an event")
	}
}

func TestFiltersThatAreRefused(t *testing.T) {
	limits := Limits{Prefixes: 3, PrefixBytes: 5, PatternBytes: 100}
	cases := map[string]struct {
		prefixes []string
		pattern  string
		want     error
		says     string
	}{
		"nothing":                     {nil, "", ErrInvalid, "neither a prefix nor a regular expression"},
		"both":                        {[]string{"a"}, "b", ErrInvalid, "both prefixes and a regular expression"},
		"malformed":                   {nil, "(", ErrInvalid, "missing closing )"},
		"look-ahead":                  {nil, "(?!a)b", ErrInvalid, "RE2"},
		"a repetition above RE2's":    {nil, "a{1001}", ErrInvalid, "invalid repeat count"},
		"too many prefixes":           {[]string{"a", "b", "c", "d"}, "", ErrTooLarge, "prefixes: 4, above the limit FilterPrefixes of 3"},
		"a prefix that is too long":   {[]string{"a", "123456"}, "", ErrTooLarge, "bytes of a prefix: 6, above the limit FilterPrefixBytes of 5"},
		"a pattern that is too long":  {nil, strings.Repeat("a", 101), ErrTooLarge, "bytes of the regular expression: 101, above the limit FilterPatternBytes of 100"},
		"a pattern that repeats much": {nil, "(abc){500}", ErrTooLarge, "above 4 times the limit FilterPatternBytes of 100: repeat less"},
		"nested repetitions":          {nil, "((a{9}){9}){9}", ErrTooLarge, "repeat less"},
		"an open repetition":          {nil, "(abcde){100,}", ErrTooLarge, "repeat less"},
		"a class of many characters":  {nil, `\pL`, ErrTooLarge, "name fewer classes"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := limits.New(Type, tc.prefixes, tc.pattern); !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("failed with %v, want %v that says %q", err, tc.want, tc.says)
			}
		})
	}
}

func TestFiltersAtTheirLimits(t *testing.T) {
	limits := Limits{Prefixes: 3, PrefixBytes: 5, PatternBytes: 100}
	cases := map[string]struct {
		prefixes []string
		pattern  string
	}{
		"prefixes":            {[]string{"12345", "b", ""}, ""},
		"a literal":           {nil, strings.Repeat("a", 100)},
		"many alternatives":   {nil, "^(" + strings.Repeat("ab|", 31) + "c)$"},
		"groups in groups":    {nil, strings.Repeat("(", 50) + strings.Repeat(")", 50)},
		"as much as repeated": {nil, "a{80}"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := limits.New(Stream, tc.prefixes, tc.pattern); err != nil {
				t.Error(err)
			}
		})
	}
}

// The patterns are the largest of their kind that the default limits let in or
// refuse: neither may take much memory.
func TestNoPatternTakesMuchMemory(t *testing.T) {
	const most = 40 << 20 // what is allocated in all; much less is kept
	for _, unit := range []string{`x{1000}`, `(a{10}){100}`, `\pL`, `(?i:\pL)`, `[\pL\pN]`, `[^a]`, `(a*)*`, `a?`, `a{2}`} {
		t.Run(unit, func(t *testing.T) {
			pattern := strings.Repeat(unit, DefaultPatternBytes/len(unit))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			f, err := New(Type, nil, pattern)
			if err == nil {
				f.Match(bytes.Repeat([]byte("ab"), 500), nil)
			}
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > most {
				t.Errorf("%d bytes were allocated (%v), want %d at most", took, err, most)
			}
		})
	}
}

// FuzzFilter holds what is built against what the words say.
func FuzzFilter(f *testing.F) {
	f.Add("a.", "b.", "", "a.Done")
	f.Add("", "", `^a\.(Done|Begun)$`, "a.Begun")
	f.Add("", "", `(a{10}){100}`, "aaaa")
	f.Add("", "", `[^\$\pL]*(?i)k{3,}`, "$x")
	f.Add("", "a", "", "")
	f.Fuzz(func(t *testing.T, first, second, pattern, value string) {
		prefixes := []string{first, second}
		if pattern != "" {
			prefixes = nil
		}
		made, err := New(Type, prefixes, pattern)
		if errors.Is(err, ErrTooLarge) {
			return
		}
		compiled, malformed := regexp.Compile(pattern)
		if err != nil {
			if !errors.Is(err, ErrInvalid) || malformed == nil {
				t.Fatalf("%q, %q, %q failed with %v", first, second, pattern, err)
			}
			return
		}
		want := strings.HasPrefix(value, first) || strings.HasPrefix(value, second)
		if pattern != "" {
			want = compiled.MatchString(value)
		}
		if got := made.Match([]byte(value), nil); got != want {
			t.Errorf("%q, %q, %q: match of %q is %v, want %v", first, second, pattern, value, got, want)
		}
	})
}
