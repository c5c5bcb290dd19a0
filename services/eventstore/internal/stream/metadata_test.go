package stream

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseLimits(t *testing.T) {
	cases := map[string]struct {
		data string
		want Limits
	}{
		"nothing":                {``, Limits{}},
		"no JSON":                {`{`, Limits{}},
		"null":                   {`null`, Limits{}},
		"a list":                 {`[1]`, Limits{}},
		"none of ours":           {`{"owner":"sales","$acl":{"$r":"x"}}`, Limits{}},
		"all":                    {`{"$tb":7,"$maxCount":3,"$maxAge":60,"a":1}`, Limits{7, 3, time.Minute}},
		"softly deleted":         {`{"$tb":9223372036854775807}`, Limits{TruncateBefore: MaxRevision}},
		"beyond the last":        {`{"$tb":1e30}`, Limits{TruncateBefore: math.MaxInt64}},
		"floating point":         {`{"$maxCount":3.0}`, Limits{MaxCount: 3}},
		"negative":               {`{"$tb":-1,"$maxCount":-5,"$maxAge":-0.5}`, Limits{}},
		"an age beyond counting": {`{"$maxAge":9223372036854775807}`, Limits{MaxAge: math.MaxInt64 / time.Second * time.Second}},
		"of a wrong type":        {`{"$maxCount":true}`, Limits{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, ParseLimits([]byte(tc.data))); diff != "" {
				t.Errorf("limits (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeletedMetadataSaysThatTheStreamIsDeleted(t *testing.T) {
	state := State{Last: 3, Limits: ParseLimits(DeletedMetadata())}
	if !state.SoftDeleted() || state.Exists() {
		t.Errorf("%s is not read as softly deleted", DeletedMetadata())
	}
}

func TestUndeletedKeepsTheRest(t *testing.T) {
	cases := map[string]struct{ before, want string }{
		"deleted only":  {`{"$tb":9223372036854775807}`, `{"$tb":4}`},
		"more":          {`{"$maxCount":9007199254740993,"$tb":1,"a":{"b":[1]}}`, `{"$maxCount":9007199254740993,"$tb":4,"a":{"b":[1]}}`},
		"nothing":       {``, `{"$tb":4}`},
		"null":          {`null`, `{"$tb":4}`},
		"not even JSON": {`nonsense`, `{"$tb":4}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Undeleted([]byte(tc.before), 4)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestLimitsFirst(t *testing.T) {
	cases := map[string]struct {
		limits Limits
		last   int64
		want   int64
	}{
		"none":                   {Limits{}, 9, 0},
		"truncated":              {Limits{TruncateBefore: 4}, 9, 4},
		"counted":                {Limits{MaxCount: 3}, 9, 7},
		"the stricter: count":    {Limits{TruncateBefore: 4, MaxCount: 3}, 9, 7},
		"the stricter: truncate": {Limits{TruncateBefore: 8, MaxCount: 3}, 9, 8},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.limits.First(tc.last); got != tc.want {
				t.Errorf("first is %d, want %d", got, tc.want)
			}
		})
	}
}

func TestOnlyTheLastMetadataCounts(t *testing.T) {
	limits := LimitsOf(MetadataOf("s"), State{Last: 5, Limits: Limits{MaxCount: 9}})
	if got := limits.First(5); got != 5 {
		t.Errorf("metadata is visible from %d on, want 5", got)
	}
}

// FuzzMetadata holds of any bytes that metadata may be: limits are never below
// nothing, and bringing a stream back sets the truncation point and keeps what
// else limits it.
func FuzzMetadata(f *testing.F) {
	for _, data := range []string{`{"$tb":5,"$maxCount":3,"$maxAge":7,"a":[1]}`, `{"$tb":1e30}`, `{"$maxAge":9223372036854775807}`, `{"$maxCount":"x"}`, `null`, `[]`, `{"$tb":-1}`, ``} {
		f.Add([]byte(data), int64(7))
	}
	f.Fuzz(func(t *testing.T, data []byte, first int64) {
		limits := ParseLimits(data)
		if limits.TruncateBefore < 0 || limits.MaxCount < 0 || limits.MaxAge < 0 {
			t.Fatalf("%q limits to %+v", data, limits)
		}
		first = max(first, 0)
		back, err := Undeleted(data, first)
		if err != nil {
			t.Fatal(err)
		}
		if got := ParseLimits(back).TruncateBefore; got != first {
			t.Errorf("%q is brought back as %s, truncated before %d, want %d", data, back, got, first)
		}
	})
}
