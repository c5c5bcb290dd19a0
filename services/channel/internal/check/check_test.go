package check_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/check"
	"github.com/triangle-suite/triangle/services/internal/fault"
)

func TestAllThatIsWrongIsNamedAtOnce(t *testing.T) {
	var r check.Request
	r.Required("contact_id", " ")
	r.Optional("visitor_id", strings.Repeat("é", check.MaxID+1))
	r.Text("text", strings.Repeat("x", check.MaxText+1))
	r.Wait("wait", durationpb.New(11*time.Second))
	check.Known(&r, "channel", journeyv1.Channel(99), journeyv1.Channel_name)
	check.Known(&r, "answer", journeyv1.Answer_ANSWER_UNSPECIFIED, journeyv1.Answer_name)

	f, ok := fault.Of(r.Err())
	if !ok || f.Kind != fault.KindInvalid {
		t.Fatalf("got %v", r.Err())
	}
	want := []string{"contact_id", "visitor_id", "text", "wait", "channel", "answer"}
	if len(f.Violations) != len(want) {
		t.Fatalf("got %v, want one violation each of %v", f.Violations, want)
	}
	for i, field := range want {
		if f.Violations[i].Field != field {
			t.Errorf("violation %d is of %s, want %s", i, f.Violations[i].Field, field)
		}
	}
}

func TestFieldsThatAreRightAreTakenAsTheyAreMeant(t *testing.T) {
	var r check.Request
	for _, tc := range []struct{ got, want string }{
		{r.Required("a", " 4711 "), "4711"},
		{r.Optional("b", ""), ""},
		{r.Text("c", strings.Repeat("é", check.MaxText)), strings.Repeat("é", check.MaxText)},
		{r.Email("d", " Ada@Example.ORG "), "ada@example.org"},
		{r.Email("e", ""), ""},
		{r.Phone("f", "+31 (0)20-123.45.67"), "+310201234567"},
		{r.Phone("g", " "), ""},
		{r.Wait("h", nil).String(), "150ms"},
		{r.Wait("i", durationpb.New(0)).String(), "0s"},
		{r.Wait("j", durationpb.New(10*time.Second)).String(), "10s"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}

func TestAWrongAddressIsRefusedAndNotRepeated(t *testing.T) {
	for _, email := range []string{"ada", "@elsewhere", "ada@", "a@b@c", "ada lovelace@host", strings.Repeat("a", 250) + "@host"} {
		var r check.Request
		r.Email("email", email)
		if r.Err() == nil || strings.Contains(r.Err().Error(), email) {
			t.Errorf("%q: %v", email, r.Err())
		}
	}
	for _, phone := range []string{"12-34", "12+34567", "++3112345", "call me", "0201234567x", strings.Repeat("1", 33), "+ ( ) - ."} {
		var r check.Request
		r.Phone("phone", phone)
		if r.Err() == nil || strings.Contains(r.Err().Error(), phone) {
			t.Errorf("%q: %v", phone, r.Err())
		}
	}
}

func TestASpellingIsItsOwnSpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		phone := rapid.StringMatching(`\+?[0-9 ().-]{5,31}`).Draw(t, "phone")
		email := rapid.StringMatching(`[A-Za-z.]{1,20}@[A-Za-z.]{1,20}`).Draw(t, "email")
		var once check.Request
		p, e := once.Phone("phone", phone), once.Email("email", email)
		if once.Err() != nil {
			t.Skip("not an address")
		}
		var twice check.Request
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
