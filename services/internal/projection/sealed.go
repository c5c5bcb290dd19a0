package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Sealed is a column that holds, in clear, what events hold sealed. It is personal.
// When the key is destroyed it is emptied: see Schema.Forget.
type Sealed struct {
	// Table and Column say where it is. It is TEXT.
	Table, Column string
	// Subject is the kind of whose key seals it, such as customer, and Of the column
	// that says whose.
	Subject, Of string
	// Only is a condition on the rows that hold something sealed; empty: all do. What
	// others hold stays.
	Only string
}

// isPersonal tells whether a column is no part of the content.
func (s Schema) isPersonal(table, column string) bool {
	return slices.Contains(s.Personal, table+"."+column) ||
		slices.ContainsFunc(s.Sealed, func(c Sealed) bool { return c.Table == table && c.Column == column })
}

// forgottenAtOnce bounds the parameters of a statement.
const forgottenAtOnce = 500

// Forget empties the columns of subjects whose keys were destroyed, as a fold of
// their events, which can't be opened any more, leaves them empty. Of columns that
// are empty already nothing is written, and tables that are not there, as in a
// database beside, are passed over.
func (s Schema) Forget(ctx context.Context, tx *Tx, subject string, ids []string) error {
	for _, c := range s.Sealed {
		if c.Subject != subject {
			continue
		}
		if _, err := columnsOf(ctx, tx, c.Table); errors.Is(err, errNoTable) {
			continue
		} else if err != nil {
			return fmt.Errorf("look at the table %s: %w", c.Table, err)
		}
		for some := range slices.Chunk(ids, forgottenAtOnce) {
			if err := c.forget(ctx, tx, some); err != nil {
				return fmt.Errorf("empty %s.%s: %w", c.Table, c.Column, err)
			}
		}
	}
	return nil
}

func (c Sealed) forget(ctx context.Context, tx *Tx, ids []string) error {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	which := strings.TrimSuffix(strings.Repeat("?, ", len(ids)), ", ")
	statement := `UPDATE ` + c.Table + ` SET ` + c.Column + ` = '' WHERE ` + c.Of + ` IN (` + which + `) AND ` + c.Column + ` <> ''`
	if c.Only != "" {
		statement += ` AND (` + c.Only + `)`
	}
	_, err := tx.Exec(ctx, statement, args...)
	return err
}
