package filter

import (
	"errors"
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
		"prefixes before a pattern":   {Type, []string{"a."}, `b`, "b", "x", false},
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

func TestInvalid(t *testing.T) {
	for name, pattern := range map[string]string{"nothing": "", "malformed": "(", "look-ahead": "(?!a)b"} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(Type, nil, pattern); !errors.Is(err, ErrInvalid) {
				t.Errorf("failed with %v, want %v", err, ErrInvalid)
			}
		})
	}
}
