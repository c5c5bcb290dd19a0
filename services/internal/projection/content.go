package projection

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"strings"

	"github.com/triangle-suite/triangle/services/internal/digest"
)

// Content is what a projection's tables hold, without what is personal: whoever's
// key is destroyed can't be projected again, and no digest shall tell of them.
type Content struct {
	Digest digest.Sum // over the rows
	Rows   uint64
}

var createTable = regexp.MustCompile(`^\s*CREATE TABLE (\w+)`)

// TableNames returns the names of the tables, in the order of their creation.
func (s Schema) TableNames() (names []string) {
	for _, statement := range s.Tables {
		if found := createTable.FindStringSubmatch(statement); found != nil {
			names = append(names, found[1])
		}
	}
	return names
}

// Content reads all rows of a projection's tables. It is the same for the same
// rows, on SQLite and on PostgreSQL.
func (s Schema) Content(ctx context.Context, q Querier) (c Content, err error) {
	for _, name := range s.TableNames() {
		t, err := s.look(ctx, q, name)
		if err != nil {
			return Content{}, err
		}
		for row, err := range t.rows(ctx, q, unordered) {
			if err != nil {
				return Content{}, err
			}
			c.Digest = c.Digest.Plus(t.hash(row))
			c.Rows++
		}
	}
	return c, nil
}

// table is a table as it is seen by who reads its rows whatever they are.
type table struct {
	name     string
	columns  []string
	personal []bool // by column
	key      []int  // the columns of the primary key; all columns where there is none
	hasher   []byte // what hash writes into, again and again
}

// look asks the database for a table's columns and key.
func (s Schema) look(ctx context.Context, q Querier, name string) (*table, error) {
	columns, err := columnsOf(ctx, q, name)
	if err != nil {
		return nil, fmt.Errorf("look at the table %s: %w", name, err)
	}
	t := &table{name: name, key: make([]int, len(columns))}
	key := 0
	for i, c := range columns {
		t.columns = append(t.columns, c.name)
		t.personal = append(t.personal, s.isPersonal(name, c.name))
		if c.key > 0 {
			t.key[c.key-1] = i
			key++
		}
	}
	if t.key = t.key[:key]; key == 0 {
		for i := range columns {
			t.key = append(t.key, i)
		}
	}
	return t, nil
}

// column is a column, and which of the primary key's it is: from 1 on, 0 if none.
type column struct {
	name string
	key  int
}

var errNoTable = errors.New("there is none")

// columnsOf reads the database's own description of a table. Reading the table
// would do where its columns stay; but a statement that PostgreSQL has compiled
// for other ones of the same name fails.
func columnsOf(ctx context.Context, q Querier, table string) ([]column, error) {
	rows, err := q.Query(ctx, q.columnsOf(), table)
	if err != nil {
		return nil, err
	}
	all, err := Collect(rows, func(row Scanner, c *column) error { return row.Scan(&c.name, &c.key) })
	if err == nil && len(all) == 0 {
		err = errNoTable
	}
	return all, err
}

type order bool

const (
	unordered order = false
	byKey     order = true
)

// rows reads a table's rows. What it yields is good until the next one.
func (t *table) rows(ctx context.Context, q Querier, in order) iter.Seq2[[]any, error] {
	if in == byKey {
		return t.read(ctx, q, ` ORDER BY `+strings.Join(t.keyColumns(), ", "))
	}
	return t.read(ctx, q, "")
}

func (t *table) read(ctx context.Context, q Querier, which string, args ...any) iter.Seq2[[]any, error] {
	query := `SELECT ` + strings.Join(t.columns, ", ") + ` FROM ` + t.name + which
	return func(yield func([]any, error) bool) {
		if err := t.scan(ctx, q, query, args, func(row []any) bool { return yield(row, nil) }); err != nil {
			yield(nil, fmt.Errorf("read the table %s: %w", t.name, err))
		}
	}
}

// scan calls each with a query's rows until it returns false, and then fails no
// more.
func (t *table) scan(ctx context.Context, q Querier, query string, args []any, each func([]any) bool) (err error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	enough := false
	defer func() {
		if end := errors.Join(rows.Err(), rows.Close()); err == nil && !enough {
			err = end
		}
	}()
	values := make([]any, len(t.columns))
	into := make([]any, len(values))
	for i := range values {
		into[i] = &values[i]
	}
	for !enough && rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, value := range values {
			if b, ok := value.([]byte); ok && b == nil {
				values[i] = []byte{} // an empty one, which is not NULL
			}
		}
		enough = !each(values)
	}
	return nil
}

func (t *table) keyColumns() []string {
	names := make([]string, len(t.key))
	for i, column := range t.key {
		names[i] = t.columns[column]
	}
	return names
}

// hash is of the table's name and of the row's values with the columns' names,
// each with its length before it, so that none can be taken for another.
func (t *table) hash(row []any) digest.Hash {
	b := appendText(t.hasher[:0], 't', t.name)
	for i, value := range row {
		if !t.personal[i] {
			b = appendText(b, 'c', t.columns[i])
			b = appendValue(b, value)
		}
	}
	t.hasher = b
	sum := sha256.Sum256(b)
	return digest.Hash(sum[:len(digest.Hash{})])
}

// appendValue writes a value of one of the types that tables have.
func appendValue(b []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(b, '0')
	case int64:
		return binary.BigEndian.AppendUint64(append(b, 'i'), uint64(v)) //nolint:gosec // its bits are what is hashed
	case string:
		return appendText(b, 's', v)
	case []byte:
		return appendText(b, 'b', v)
	default: // no type of a Schema's; told apart from them all
		return appendText(b, '?', fmt.Sprintf("%T %v", v, v))
	}
}

func appendText[T string | []byte](b []byte, kind byte, text T) []byte {
	return append(binary.AppendUvarint(append(b, kind), uint64(len(text))), text...)
}

// compareKeys compares rows by the table's key, as the databases order them.
func (t *table) compareKeys(a, b []any) int {
	for _, column := range t.key {
		if c := compareValues(a[column], b[column]); c != 0 {
			return c
		}
	}
	return 0
}

func compareValues(a, b any) int {
	switch x := a.(type) {
	case int64:
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y)
		}
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y)
		}
	case []byte:
		if y, ok := b.([]byte); ok {
			return bytes.Compare(x, y)
		}
	}
	return bytes.Compare(appendValue(nil, a), appendValue(nil, b))
}

// Snapshot shows a database as it was when it was opened, whatever is committed
// meanwhile.
type Snapshot struct {
	Querier

	tx *sql.Tx
}

// Snapshot opens a snapshot. It holds a connection of those that read until it
// is closed.
func (db *DB) Snapshot(ctx context.Context) (*Snapshot, error) {
	tx, err := db.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: db.engine.steady()})
	if err != nil {
		return nil, fmt.Errorf("open a snapshot: %w", err)
	}
	s := &Snapshot{Querier: &Tx{tx: tx, engine: db.engine}, tx: tx}
	var one int
	// The first statement is what fixes it.
	if err := s.QueryRow(ctx, `SELECT count(*) FROM projections WHERE 1 = 0`).Scan(&one); err != nil {
		return nil, errors.Join(fmt.Errorf("open a snapshot: %w", err), s.Close())
	}
	return s, nil
}

// Close ends the snapshot.
func (s *Snapshot) Close() error {
	if err := s.tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("close a snapshot: %w", err)
	}
	return nil
}
