package call_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

func TestEachValueIsCheckedAndSpelled(t *testing.T) {
	email, phone, date := (*call.Checks).Email, (*call.Checks).Phone, (*call.Checks).Date
	required, optional := (*call.Checks).Required, (*call.Checks).Optional
	text, optionalText := (*call.Checks).Text, (*call.Checks).OptionalText
	slug := func(c *call.Checks, field, value string) string { c.Slug(field, value); return value }
	for name, tc := range map[string]struct {
		check func(*call.Checks, string, string) string
		value string
		want  string
		ok    bool
	}{
		"an address":                   {email, " Ann@Example.org ", "ann@example.org", true},
		"no address":                   {email, "", "", true},
		"an address of two @":          {email, "a@b@c", "a@b@c", false},
		"an address of none":           {email, "ann", "ann", false},
		"nobody's address":             {email, "@example.org", "@example.org", false},
		"an address of nowhere":        {email, "ann@", "ann@", false},
		"an address with a space":      {email, "ada lovelace@host", "ada lovelace@host", false},
		"a long address":               {email, strings.Repeat("a", 250) + "@b.nl", strings.Repeat("a", 250) + "@b.nl", false},
		"an address of the limit":      {email, strings.Repeat("a", 249) + "@b.nl", strings.Repeat("a", 249) + "@b.nl", true},
		"a phone number":               {phone, "+31 (0)20-123.45.67", "+310201234567", true},
		"a country in brackets":        {phone, "(+31) 20 1234567", "+31201234567", true},
		"no phone number":              {phone, " ", "", true},
		"a short phone number":         {phone, "1 2 3", "123", false},
		"a long phone number":          {phone, strings.Repeat("1", 33), strings.Repeat("1", 33), false},
		"a phone number in words":      {phone, "call 12345", "12345", false},
		"a phone number and a letter":  {phone, "0201234567x", "0201234567", false},
		"a phone number with two plus": {phone, "++3112345", "+3112345", false},
		"a plus among the digits":      {phone, "12+34567", "1234567", false},
		"a phone number of no digits":  {phone, "+ ( ) - .", "", false},
		"an id":                        {required, " N1 ", "N1", true},
		"an id that is missing":        {required, " ", "", false},
		"a long nothing":               {required, strings.Repeat(" ", 201), "", false},
		"an id of the limit":           {required, strings.Repeat("é", 200), strings.Repeat("é", 200), true},
		"a long id":                    {required, strings.Repeat("é", 201), strings.Repeat("é", 201), false},
		"an id that may be missing":    {optional, "", "", true},
		"a long id, of those":          {optional, strings.Repeat("é", 201), strings.Repeat("é", 201), false},
		"a text":                       {text, " yes ", "yes", true},
		"a text that is missing":       {text, " ", "", false},
		"a text of the limit":          {text, strings.Repeat("é", 4000), strings.Repeat("é", 4000), true},
		"a long text":                  {text, strings.Repeat("x", 4001), strings.Repeat("x", 4001), false},
		"a text that may be missing":   {optionalText, "", "", true},
		"a long text, of those":        {optionalText, strings.Repeat("x", 4001), strings.Repeat("x", 4001), false},
		"a slug":                       {slug, "new-home-2", "new-home-2", true},
		"a slug that is missing":       {slug, "", "", false},
		"a slug in capitals":           {slug, "New", "New", false},
		"a slug of two words":          {slug, "new home", "new home", false},
		"a slug of the limit":          {slug, strings.Repeat("a", 200), strings.Repeat("a", 200), true},
		"a long slug":                  {slug, strings.Repeat("a", 201), strings.Repeat("a", 201), false},
		"a day":                        {date, "2024-02-29", "2024-02-29", true},
		"a day that there is not":      {date, "2026-02-29", "2026-02-29", false},
		"a day in another notation":    {date, "20260101", "20260101", false},
		"a day that is not given":      {date, "", "", false},
		"a date and time of the day":   {date, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", false},
	} {
		t.Run(name, func(t *testing.T) {
			var checks call.Checks
			if got := tc.check(&checks, "field", tc.value); got != tc.want {
				t.Errorf("spelled %q, want %q", got, tc.want)
			}
			err := checks.Err()
			if (err == nil) != tc.ok {
				t.Errorf("refused: %v", err)
			}
			if err == nil {
				return
			}
			if f, ok := fault.Of(err); !ok || f.Kind != fault.KindInvalid || len(f.Violations) != 1 || f.Violations[0].Field != "field" {
				t.Errorf("refused with %v", err)
			}
			if strings.TrimSpace(tc.value) != "" && strings.Contains(err.Error(), tc.value) {
				t.Errorf("the refusal repeats a value that may be personal: %v", err)
			}
		})
	}
}

func TestAllThatIsWrongIsNamedAtOnce(t *testing.T) {
	var checks call.Checks
	checks.Required("contact_id", " ")
	checks.Optional("visitor_id", strings.Repeat("é", call.LongestName+1))
	checks.Text("text", strings.Repeat("x", call.LongestText+1))
	checks.Wait("wait", durationpb.New(11*time.Second))
	checks.That(true, "quantity", "must be above 0")
	checks.That(false, "amount", "must not be below %d", 0)
	call.Known(&checks, "channel", journeyv1.Channel(99), journeyv1.Channel_name)
	call.Known(&checks, "answer", journeyv1.Answer_ANSWER_UNSPECIFIED, journeyv1.Answer_name)
	call.Known(&checks, "origin", journeyv1.Channel_CHANNEL_EMAIL, journeyv1.Channel_name)

	f, ok := fault.Of(checks.Err())
	if !ok || f.Kind != fault.KindInvalid {
		t.Fatalf("got %v", checks.Err())
	}
	want := []string{"contact_id", "visitor_id", "text", "wait", "amount", "channel", "answer"}
	if len(f.Violations) != len(want) {
		t.Fatalf("got %v, want one violation each of %v", f.Violations, want)
	}
	for i, field := range want {
		if f.Violations[i].Field != field {
			t.Errorf("violation %d is of %s, want %s", i, f.Violations[i].Field, field)
		}
	}
}

func TestACallWaitsAsLongAsItSays(t *testing.T) {
	for name, tc := range map[string]struct {
		wait *durationpb.Duration
		want time.Duration
		ok   bool
	}{
		"nothing is said": {nil, 150 * time.Millisecond, true},
		"not at all":      {durationpb.New(0), 0, true},
		"the longest":     {durationpb.New(10 * time.Second), 10 * time.Second, true},
		"too long":        {durationpb.New(10*time.Second + 1), 10*time.Second + 1, false},
		"until yesterday": {durationpb.New(-1), -1, false},
		"no duration":     {&durationpb.Duration{Seconds: 1, Nanos: -1}, time.Second - 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			var checks call.Checks
			if got := checks.Wait("wait", tc.wait); got != tc.want || (checks.Err() == nil) != tc.ok {
				t.Errorf("got %s, %v", got, checks.Err())
			}
		})
	}
}

func TestAnAddressThatIsTakenIsTakenAgainInItsSpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		phone := rapid.StringMatching(`\+?[0-9 ().-]{5,31}`).Draw(t, "phone")
		email := rapid.StringMatching(`[A-Za-z.]{1,20}@[A-Za-z.]{1,20}`).Draw(t, "email")
		var once call.Checks
		p, e := once.Phone("phone", phone), once.Email("email", email)
		if once.Err() != nil {
			t.Skip("not an address")
		}
		var twice call.Checks
		if again := twice.Phone("phone", p); again != p {
			t.Errorf("%q became %q, and then %q", phone, p, again)
		}
		if again := twice.Email("email", e); again != e {
			t.Errorf("%q became %q, and then %q", email, e, again)
		}
		if twice.Err() != nil {
			t.Error(twice.Err())
		}
	})
}
