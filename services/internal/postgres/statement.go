package postgres

import (
	"regexp"
	"strconv"
	"strings"
)

// Statement writes a statement whose parameters are ? as PostgreSQL wants it,
// with $1, $2 and so on. Quoted text is left as it is.
func Statement(statement string) string {
	if !strings.Contains(statement, "?") {
		return statement
	}
	var out strings.Builder
	var quote rune
	n := 0
	for _, r := range statement {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"':
			quote = r
		case r == '?':
			n++
			out.WriteString("$" + strconv.Itoa(n))
			continue
		}
		out.WriteRune(r)
	}
	return out.String()
}

var (
	text = regexp.MustCompile(`\bTEXT\b`)
	blob = regexp.MustCompile(`\bBLOB\b`)
	// tree is SQLite's word for a table that is its primary key's tree, and no
	// second one.
	tree = regexp.MustCompile(`\)\s*WITHOUT ROWID\s*$`)
)

// Definition writes a statement that creates a table, with SQLite's types, as
// PostgreSQL wants it. Text is compared byte by byte, whatever the database's
// language is: an order that is part of a result must be the same everywhere.
func Definition(statement string) string {
	statement = tree.ReplaceAllString(statement, ")")
	return blob.ReplaceAllString(text.ReplaceAllString(statement, `TEXT COLLATE "C"`), "BYTEA")
}
