package simulation

import (
	"context"
	"errors"
	"slices"
	"strings"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/erasure"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/spelling"
)

// forgotten is who was erased, as the log tells.
type forgotten struct {
	customers map[string]bool
	contacts  map[string]bool // of theirs
	values    []string        // by which they could be told, and nobody else
}

// isSubject tells whether a key is of one of them.
func (f forgotten) isSubject(key string) bool {
	kind, id, _ := strings.Cut(key, ":")
	return kind == erasure.Customer && f.customers[id] || kind == erasure.Contact && f.contacts[id]
}

// forgottenIn reads out of the log who was erased, and which contacts were theirs.
func forgottenIn(all []codec.Event) forgotten {
	f := forgotten{customers: map[string]bool{}, contacts: map[string]bool{}}
	for _, e := range all {
		if m, ok := e.Message.(*salesv1.CustomerErased); ok {
			f.customers[m.GetCustomerId()] = true
		}
	}
	for _, e := range all {
		switch m := e.Message.(type) {
		case *channelv1.ContactStarted, *channelv1.VisitorIdentified, *salesv1.ContactRegistered:
			of := m.(interface {
				GetContactId() string
				GetCustomerId() string
			}) //nolint:forcetypeassert // each of them has both
			if f.customers[of.GetCustomerId()] {
				f.contacts[of.GetContactId()] = true
			}
		case *salesv1.CustomerRegistered:
			if f.customers[m.GetCustomerId()] {
				f.values = append(f.values, valuesOf(m.GetCustomerNumber())...)
			}
		}
	}
	for _, e := range all {
		// CRM may know somebody twice, who is erased once.
		if known, ok := e.Message.(interface{ GetPerson() *journeyv1.Person }); ok && !e.Erased {
			text := known.GetPerson().String()
			f.values = slices.DeleteFunc(f.values, func(value string) bool { return strings.Contains(text, value) })
		}
	}
	return f
}

// valuesOf returns what a customer of the story is told by.
func valuesOf(customerNumber string) (values []string) {
	for i := range customers {
		if number(i) != customerNumber {
			continue
		}
		for _, p := range []*journeyv1.Person{person(i), moved(i)} {
			for _, value := range []string{p.GetSurname(), spelling.Email(p.GetEmail()), spelling.Phone(p.GetPhone())} {
				if value != "" {
					values = append(values, value)
				}
			}
		}
	}
	return values
}

// checkKeys wants the keys of who was erased destroyed, and nobody else's: what they
// sealed can't be opened, and all the rest can.
func (w *world) checkKeys(l history) {
	for _, e := range l.all {
		if key := e.Metadata.SealedFor; key != "" && e.Erased != l.forgotten.isSubject(key) {
			w.diverge("%s@%d (%s) is sealed for %s: that it can't be opened is %t, and that they are erased %t",
				e.Stream, e.Revision, e.Type, key, e.Erased, !e.Erased)
		}
	}
}

// checkForgotten wants nothing left in a service's tables of who was erased: neither
// in a column that is declared to hold what was sealed, nor, of what they are told
// by, anywhere.
func (w *world) checkForgotten(ctx context.Context, where string, l history, anew folded) (err error) {
	if len(l.forgotten.customers) == 0 {
		return nil
	}
	db, err := projection.Open(ctx, where, string(anew.name), projection.Alone)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, c := range anew.app.Flows.Consumers() {
		for _, column := range c.Schema.Sealed {
			if err := w.checkColumn(ctx, db, column, l.forgotten); err != nil {
				return err
			}
		}
	}
	tables, err := texts(ctx, db, `SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name`)
	if err != nil {
		return err
	}
	for _, table := range tables {
		rows, err := dump(ctx, db, table)
		if err != nil {
			return err
		}
		for _, row := range rows {
			for _, value := range l.forgotten.values {
				if strings.Contains(row, value) {
					w.diverge("%s.%s holds %q of who was erased: %s", anew.name, table, value, row)
				}
			}
		}
	}
	return nil
}

func (w *world) checkColumn(ctx context.Context, db *projection.DB, c projection.Sealed, f forgotten) error {
	query := `SELECT ` + c.Of + ` FROM ` + c.Table + ` WHERE ` + c.Column + ` <> ''`
	if c.Only != "" {
		query += ` AND (` + c.Only + `)`
	}
	whose, err := texts(ctx, db, query)
	if err != nil {
		return err
	}
	for _, id := range whose {
		if f.isSubject(codec.KeyName(c.Subject, id)) {
			w.diverge("%s.%s still holds what is of %s %s, who was erased", c.Table, c.Column, c.Subject, id)
		}
	}
	return nil
}
