// Package spelling gives each address of a person the one spelling by which all
// services compare it. Identities are recognised by hashes of it, so two
// spellings of one address would be two people.
package spelling

import "strings"

// Email is the one spelling of an e-mail address.
func Email(text string) string { return strings.ToLower(strings.TrimSpace(text)) }

// Phone is the one spelling of a phone number: its digits, and the plus that
// stands before the first of them. A text without digits has none.
func Phone(text string) string {
	var spelled strings.Builder
	plus := false
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9':
			if plus && spelled.Len() == 0 {
				spelled.WriteByte('+')
			}
			spelled.WriteRune(r)
		case r == '+':
			plus = true
		}
	}
	return spelled.String()
}
