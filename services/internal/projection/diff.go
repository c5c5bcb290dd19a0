package projection

import (
	"context"
	"fmt"
	"iter"
	"strings"
)

// Differences tell how the tables of a projection differ in two places.
type Differences struct {
	// Rows is how many rows differ, are missing in one place or in the other.
	Rows uint64
	// Personal is how many rows differ in personal columns alone, as they do when
	// somebody's key has been destroyed between the two.
	Personal uint64
	// First are the first of the rows that differ, in the order of tables and keys.
	First []Difference
}

// Difference is a row that is not the same in two places.
type Difference struct {
	// Table is the table's name.
	Table string
	// Key is the row's key, as column=value, column=value.
	Key string
	// Columns tell where it differs: column: value here, value there. It is empty
	// for a row that is in one place only. Nothing personal is told.
	Columns []string
	// Missing says in which place the row is not.
	Missing Place
}

// Place is one of the two places that are compared.
type Place int

// The places.
const (
	Neither Place = iota
	Here
	There
)

// Diff compares the rows of a projection's tables here and there, and names at
// most as many rows that differ as limit says. The two may be on different kinds
// of databases.
func (s Schema) Diff(ctx context.Context, here, there Querier, limit int) (d Differences, err error) {
	for _, name := range s.TableNames() {
		t, err := s.look(ctx, here, name)
		if err != nil {
			return d, err
		}
		if err := t.diff(ctx, here, there, func(difference Difference, personal bool) {
			switch {
			case personal:
				d.Personal++
				return
			case len(d.First) < limit:
				d.First = append(d.First, difference)
			}
			d.Rows++
		}); err != nil {
			return d, err
		}
	}
	return d, nil
}

// diff merges the rows of both places in the order of their keys.
func (t *table) diff(ctx context.Context, here, there Querier, tell func(d Difference, personal bool)) error {
	nextHere, stopHere := iter.Pull2(t.rows(ctx, here, byKey))
	defer stopHere()
	nextThere, stopThere := iter.Pull2(t.rows(ctx, there, byKey))
	defer stopThere()
	a, errA, isA := nextHere()
	b, errB, isB := nextThere()
	for isA || isB {
		if errA != nil || errB != nil {
			return firstError(errA, errB)
		}
		var which int
		switch {
		case !isB:
			which = -1
		case !isA:
			which = 1
		default:
			which = t.compareKeys(a, b)
		}
		switch {
		case which < 0:
			tell(Difference{Table: t.name, Key: t.describeKey(a), Missing: There}, false)
		case which > 0:
			tell(Difference{Table: t.name, Key: t.describeKey(b), Missing: Here}, false)
		default:
			columns, personal := t.compare(a, b)
			if len(columns) > 0 || personal {
				tell(Difference{Table: t.name, Key: t.describeKey(a), Columns: columns}, len(columns) == 0)
			}
		}
		if which <= 0 {
			a, errA, isA = nextHere()
		}
		if which >= 0 {
			b, errB, isB = nextThere()
		}
	}
	return nil
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// compare tells in which columns two rows of one key differ, and whether personal
// columns do.
func (t *table) compare(a, b []any) (columns []string, personal bool) {
	for i := range a {
		switch {
		case compareValues(a[i], b[i]) == 0:
		case t.personal[i]:
			personal = true
		default:
			columns = append(columns, fmt.Sprintf("%s: %s, %s", t.columns[i], describe(a[i]), describe(b[i])))
		}
	}
	return columns, personal
}

func (t *table) describeKey(row []any) string {
	parts := make([]string, 0, len(t.key))
	for _, i := range t.key {
		if !t.personal[i] {
			parts = append(parts, t.columns[i]+"="+describe(row[i]))
		}
	}
	return strings.Join(parts, ", ")
}

// describedBytes bounds what is told of one value.
const describedBytes = 100

func describe(value any) string {
	var text string
	switch v := value.(type) {
	case nil:
		return "null"
	case []byte:
		text = fmt.Sprintf("%x", v)
	case string:
		text = fmt.Sprintf("%q", v)
	default:
		text = fmt.Sprint(v)
	}
	if len(text) > describedBytes {
		return strings.ToValidUTF8(text[:describedBytes], "") + "…"
	}
	return text
}
