package spelling_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/triangle-suite/triangle/services/internal/spelling"
)

func TestSpellings(t *testing.T) {
	for text, want := range map[string]string{
		" Ann@Example.ORG ": "ann@example.org",
		"":                  "",
	} {
		if got := spelling.Email(text); got != want {
			t.Errorf("Email(%q) = %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"+31 (0)20-123.45.67":  "+310201234567",
		" (+31) 20 123 45 67 ": "+31201234567",
		" 06 12345678":         "0612345678",
		"06+12":                "0612",
		"+":                    "",
		"":                     "",
	} {
		if got := spelling.Phone(text); got != want {
			t.Errorf("Phone(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestASpellingIsItsOwnSpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[0-9+ ().-]{0,32}`)).Draw(t, "text")
		if once := spelling.Phone(text); spelling.Phone(once) != once {
			t.Fatalf("Phone(%q) = %q, and that spells %q", text, once, spelling.Phone(once))
		}
		if once := spelling.Email(text); spelling.Email(once) != once {
			t.Fatalf("Email(%q) = %q, and that spells %q", text, once, spelling.Email(once))
		}
	})
}
