package postgres

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Codes of the server's errors.
const (
	wrongUser       = "28000"
	wrongPassword   = "28P01"
	noDatabase      = "3D000"
	noRights        = "42501"
	tooMany         = "53300"
	starting        = "57P03"
	duplicateKey    = "23505"
	duplicateSchema = "42P06"
)

// advice tells what to do about an error of the server.
var advice = map[string]string{
	wrongUser:     "check the user, and what the server's pg_hba.conf lets in",
	wrongPassword: "check user and password",
	noDatabase:    "make the database, or name another one in the URL",
	noRights:      "grant the user CREATE on the database, or make the schema for it: CREATE SCHEMA name AUTHORIZATION user",
	tooMany:       "raise max_connections: a replica of a service takes up to 16",
	starting:      "wait until it is up",
}

// Explain adds to an error of the server what to do about it.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		if do := advice[answer.Code]; do != "" {
			return fmt.Errorf("%w: %s", &plain{answer.Message, err}, do)
		}
		return err
	}
	if away(err) {
		return fmt.Errorf("%w: is PostgreSQL running there, and reachable?", &plain{reason(err), err})
	}
	return err
}

// away tells whether there was nobody to connect to.
func away(err error) bool {
	_, dialled := errors.AsType[*net.OpError](err)
	_, resolved := errors.AsType[*net.DNSError](err)
	return dialled || resolved || errors.Is(err, os.ErrDeadlineExceeded)
}

// plain shows an error in short.
type plain struct {
	text string
	err  error
}

func (p *plain) Error() string { return p.text }
func (p *plain) Unwrap() error { return p.err }

// reason is an error of the driver without the lines that repeat it per address,
// nor the URL that it quotes.
func reason(err error) string {
	if parse, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
		if cause := parse.Unwrap(); cause != nil {
			return cause.Error()
		}
		return "it can't be read"
	}
	lines := strings.Split(strings.ReplaceAll(err.Error(), "\t", ""), "\n")
	for _, line := range lines[1:] {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return strings.TrimSpace(lines[0])
}

func hasCode(err error, codes ...string) bool {
	answer, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains(codes, answer.Code)
}
