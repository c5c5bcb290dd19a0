package users

import (
	"encoding/base64"
	"strings"
)

// parseAuthorization returns the credentials in the values of a call's
// "authorization" header, as RFC 7617 writes them.
func parseAuthorization(values []string) (credentials, error) {
	if len(values) == 0 {
		return credentials{}, ErrMissing
	}
	if len(values) > 1 { // one of them could be what was checked, another what was meant
		return credentials{}, ErrMalformed
	}
	scheme, encoded, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Basic") {
		return credentials{}, ErrMalformed
	}
	plain, err := base64.StdEncoding.DecodeString(strings.Trim(encoded, " "))
	if err != nil {
		return credentials{}, ErrMalformed
	}
	name, password, ok := strings.Cut(string(plain), ":")
	if !ok || name == "" {
		return credentials{}, ErrMalformed
	}
	return credentials{name: name, password: password}, nil
}
