package call_test

import (
	"strings"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/sales/internal/call"
)

func TestEachValueIsCheckedAndSpelled(t *testing.T) {
	email, phone := (*call.Check).Email, (*call.Check).Phone
	id, optional, text, date := (*call.Check).ID, (*call.Check).OptionalID, (*call.Check).Text, (*call.Check).Date
	for name, tc := range map[string]struct {
		check func(*call.Check, string, string) string
		value string
		want  string
		ok    bool
	}{
		"an address":                 {email, " Ann@Example.org ", "ann@example.org", true},
		"no address":                 {email, "", "", true},
		"an address of two @":        {email, "a@b@c", "a@b@c", false},
		"an address of none":         {email, "ann", "ann", false},
		"nobody's address":           {email, "@example.org", "@example.org", false},
		"an address of nowhere":      {email, "ann@", "ann@", false},
		"a long address":             {email, strings.Repeat("a", 250) + "@b.nl", strings.Repeat("a", 250) + "@b.nl", false},
		"an address of the limit":    {email, strings.Repeat("a", 249) + "@b.nl", strings.Repeat("a", 249) + "@b.nl", true},
		"a phone number":             {phone, "+31 (0)20-123.45.67", "+310201234567", true},
		"no phone number":            {phone, " ", "", true},
		"a short phone number":       {phone, "1 2 3", "123", false},
		"a long phone number":        {phone, strings.Repeat("1", 33), strings.Repeat("1", 33), false},
		"a phone number in words":    {phone, "call 12345", "12345", false},
		"an id":                      {id, " N1 ", "N1", true},
		"an id that is missing":      {id, " ", "", false},
		"an id that may be missing":  {optional, "", "", true},
		"an id of the limit":         {id, strings.Repeat("é", 200), strings.Repeat("é", 200), true},
		"a long id":                  {id, strings.Repeat("é", 201), strings.Repeat("é", 201), false},
		"a text of the limit":        {text, strings.Repeat("x", 4000), strings.Repeat("x", 4000), true},
		"a long text":                {text, strings.Repeat("x", 4001), strings.Repeat("x", 4001), false},
		"a day":                      {date, "2024-02-29", "2024-02-29", true},
		"a day that there is not":    {date, "2026-02-29", "2026-02-29", false},
		"a day in another notation":  {date, "20260101", "20260101", false},
		"a day that is not given":    {date, "", "", false},
		"a date and time of the day": {date, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", false},
	} {
		t.Run(name, func(t *testing.T) {
			var check call.Check
			if got := tc.check(&check, "field", tc.value); got != tc.want {
				t.Errorf("spelled %q, want %q", got, tc.want)
			}
			err := check.Err()
			if (err == nil) != tc.ok {
				t.Errorf("refused: %v", err)
			}
			if err == nil {
				return
			}
			if f, ok := fault.Of(err); !ok || f.Kind != fault.KindInvalid || len(f.Violations) != 1 || f.Violations[0].Field != "field" {
				t.Errorf("refused with %v", err)
			}
			if tc.value != "" && strings.Contains(err.Error(), tc.value) && strings.TrimSpace(tc.value) != "" {
				t.Errorf("the refusal repeats a value that may be personal: %v", err)
			}
		})
	}
}
