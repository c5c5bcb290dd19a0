package projection_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// goods has two tables, one of them without a key, and a personal column.
var goods = projection.Schema{
	Name: "goods", Version: 1,
	Tables: []string{
		`CREATE TABLE goods (shelf TEXT, place BIGINT, what TEXT NOT NULL, label BLOB, owner TEXT NOT NULL, PRIMARY KEY (shelf, place))`,
		`CREATE INDEX goods_what ON goods (what)`,
		`CREATE TABLE sold (what TEXT NOT NULL, n INTEGER NOT NULL)`,
	},
	Personal: []string{"goods.owner"},
}

// good is a row of goods.
type good struct {
	shelf string
	place int64
	what  string
	label []byte
	owner string
}

func (g good) key() string { return fmt.Sprintf("%s/%d", g.shelf, g.place) }

// stock draws rows, with values that are easily taken for one another.
func stock(random *rand.Rand, n int) map[string]good {
	texts := []string{"", "a", "A", "ab", "b", "é", "'", "0", "null"}
	text := func() string { return texts[random.IntN(len(texts))] }
	all := map[string]good{}
	for range n {
		g := good{shelf: text() + text(), place: random.Int64N(40) - 20, what: text(), owner: text()}
		if random.IntN(3) > 0 {
			g.label = []byte(text() + text())
		}
		all[g.key()] = g
	}
	return all
}

// fill writes rows, in an order of chance.
func fill(t *testing.T, db *projection.DB, rows map[string]good, random *rand.Rand) {
	t.Helper()
	order := slices.Sorted(maps.Keys(rows))
	random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	err := db.Update(t.Context(), func(tx *projection.Tx) error {
		for _, key := range order {
			g := rows[key]
			if _, err := tx.Exec(t.Context(), `INSERT INTO goods VALUES (?,?,?,?,?)`, g.shelf, g.place, g.what, g.label, g.owner); err != nil {
				return err
			}
			if _, err := tx.Exec(t.Context(), `INSERT INTO sold VALUES (?,?)`, g.what, 1); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// warehouse is a new database with these rows.
func warehouse(t *testing.T, where string, rows map[string]good, random *rand.Rand) *projection.DB {
	t.Helper()
	db := open(t, where)
	if err := db.Create(t.Context(), goods); err != nil {
		t.Fatal(err)
	}
	fill(t, db, rows, random)
	return db
}

func content(t *testing.T, q projection.Querier) projection.Content {
	t.Helper()
	c, err := goods.Content(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func exec(t *testing.T, db *projection.DB, statement string, args ...any) {
	t.Helper()
	err := db.Update(t.Context(), func(tx *projection.Tx) error {
		_, err := tx.Exec(t.Context(), statement, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Same rows, same digest: in whatever order they were written, on whatever
// database. Another value, a row more or less, a row twice: another digest.
func TestContentIsTheRowsAndNothingElse(t *testing.T) {
	databases := pgtest.Databases()
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 0))
		rows := stock(random, 60)
		var want projection.Content
		for name, where := range databases {
			t.Run(fmt.Sprintf("%s, seed=%d", name, seed), func(t *testing.T) {
				db := warehouse(t, where(t), rows, random)
				got := content(t, db)
				if got.Rows != 2*uint64(len(rows)) {
					t.Errorf("%d rows, want %d", got.Rows, 2*len(rows))
				}
				if want.Rows == 0 {
					want = got
				}
				if got != want {
					t.Errorf("content %v, and %v elsewhere", got, want)
				}
				seen := map[string]string{got.Digest.String(): "the rows as they were"}
				for _, change := range []struct{ what, statement string }{
					{"a value that is another", `UPDATE goods SET what = what || 'x' WHERE place = (SELECT max(place) FROM goods)`},
					{"a row twice", `INSERT INTO sold SELECT what, n FROM goods, (SELECT 1 AS n) AS one ORDER BY shelf, place LIMIT 1`},
					{"a row less", `DELETE FROM goods WHERE place = (SELECT min(place) FROM goods)`},
					{"a value in another column", `UPDATE goods SET shelf = what, what = shelf WHERE shelf = 'a' AND place > 100`},
					{"nothing instead of something empty", `UPDATE goods SET label = NULL`},
				} {
					before := content(t, db)
					exec(t, db, change.statement)
					after := content(t, db).Digest.String()
					if was, ok := seen[after]; ok && change.what != "a value in another column" {
						t.Errorf("%s: the digest is that of %s (%v before)", change.what, was, before)
					}
					seen[after] = change.what
				}
			})
		}
	}
}

func TestContentKeepsWhatIsPersonalApart(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		random := rand.New(rand.NewPCG(1, 0))
		db := warehouse(t, where, stock(random, 20), random)
		before := content(t, db)
		exec(t, db, `UPDATE goods SET owner = 'somebody else'`)
		if after := content(t, db); after != before {
			t.Errorf("content changed with a personal column: %v, then %v", before, after)
		}
	})
}

// The twin compares two maps.
func TestDiffNamesTheRowsThatDiffer(t *testing.T) {
	for name, where := range pgtest.Databases() {
		for seed := range uint64(6) {
			t.Run(fmt.Sprintf("%s, seed=%d", name, seed), func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1))
				rows := stock(random, 80)
				other := maps.Clone(rows)
				var want []string
				personal := uint64(0)
				for _, key := range slices.Sorted(maps.Keys(rows)) {
					g := rows[key]
					switch random.IntN(10) {
					case 0:
						delete(other, key)
						want = append(want, key+" is not there")
					case 1:
						g.what += "!"
						other[key] = g
						want = append(want, key+" what")
					case 2:
						g.owner += "!"
						other[key] = g
						personal++
					case 3:
						g.place += 1000
						other[g.key()] = g
						want = append(want, g.key()+" is not here")
					}
				}
				here := warehouse(t, where(t), rows, random)
				there := warehouse(t, pgtest.Databases()["SQLite"](t), other, random)
				exec(t, here, `DELETE FROM sold`)
				exec(t, there, `DELETE FROM sold`)
				d, err := goods.Diff(t.Context(), here, there, len(rows))
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, difference := range d.First {
					got = append(got, told(difference))
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) || d.Rows != uint64(len(want)) || d.Personal != personal {
					t.Errorf("got %d and %d personal:\n%s\nwant %d:\n%s", d.Rows, d.Personal, strings.Join(got, "\n"), personal, strings.Join(want, "\n"))
				}
				if few, err := goods.Diff(t.Context(), here, there, 1); err != nil || len(few.First) > 1 || few.Rows != d.Rows {
					t.Errorf("with a limit of one: %v, %v", few, err)
				}
			})
		}
	}
}

func told(d projection.Difference) string {
	var shelf string
	var place int64
	if _, err := fmt.Sscanf(strings.Replace(d.Key, ",", "", 1), "shelf=%q place=%d", &shelf, &place); err != nil {
		return d.Key + ": " + err.Error()
	}
	key := fmt.Sprintf("%s/%d", shelf, place)
	switch d.Missing {
	case projection.Here:
		return key + " is not here"
	case projection.There:
		return key + " is not there"
	default:
		column, _, _ := strings.Cut(d.Columns[0], ":")
		return key + " " + column
	}
}

func TestASnapshotStaysAsItWas(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		random := rand.New(rand.NewPCG(2, 0))
		db := warehouse(t, where, stock(random, 20), random)
		before := content(t, db)
		snapshot, err := db.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		exec(t, db, `DELETE FROM goods`)
		if got := content(t, snapshot); got != before {
			t.Errorf("the snapshot shows %v, want %v", got, before)
		}
		if got := content(t, db); got == before {
			t.Error("the change is not there")
		}
		if err := snapshot.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Tables are copied into a database beside, which goes its own way and is removed
// without a trace.
func TestTablesAreCopiedBeside(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		ctx := t.Context()
		random := rand.New(rand.NewPCG(3, 0))
		db := warehouse(t, where, stock(random, 5000), random)
		fill(t, db, many(4000), random)
		before := content(t, db)
		for range 2 { // what a first time has left there is replaced
			beside, err := db.Beside(ctx, "copy-of-it")
			if err != nil {
				t.Fatal(err)
			}
			err = beside.Update(ctx, func(tx *projection.Tx) error { return goods.CopyTo(ctx, db, tx) })
			if err != nil {
				t.Fatal(err)
			}
			if got := content(t, beside); got != before {
				t.Errorf("the copy is %v, want %v", got, before)
			}
			exec(t, beside, `DELETE FROM sold`)
			if err := beside.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if got := content(t, db); got != before {
			t.Errorf("the tables are %v, want %v as before", got, before)
		}
		beside, err := db.Beside(ctx, "copy-of-it")
		if err != nil {
			t.Fatal(err)
		}
		if err := beside.Drop(ctx); err != nil {
			t.Fatal(err)
		}
		if beside, err = db.Beside(ctx, "copy-of-it"); err != nil {
			t.Fatal(err)
		}
		if _, err := goods.Content(context.WithoutCancel(ctx), beside); err == nil {
			t.Error("the tables are there still")
		}
		if err := beside.Drop(ctx); err != nil {
			t.Error(err)
		}
	})
}

func many(n int) map[string]good {
	all := map[string]good{}
	for i := range n {
		g := good{shelf: "many", place: int64(i)}
		all[g.key()] = g
	}
	return all
}

// Rows are copied by a value in a column, and replace those with that value.
func TestRowsAreCopiedByAValue(t *testing.T) {
	for name, database := range pgtest.Databases() {
		t.Run(name, func(t *testing.T) {
			from, err := projection.Open(t.Context(), database(t), "copied")
			if err != nil {
				t.Fatal(err)
			}
			to, err := from.Beside(t.Context(), "there")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := errors.Join(to.Drop(context.Background()), from.Close()); err != nil {
					t.Error(err)
				}
			})
			fillWith := func(db *projection.DB, rows ...good) {
				t.Helper()
				if err := db.Create(t.Context(), goods); err != nil {
					t.Fatal(err)
				}
				all := map[string]good{}
				for _, g := range rows {
					all[g.key()] = g
				}
				fill(t, db, all, rand.New(rand.NewPCG(1, 1)))
			}
			fillWith(from, good{shelf: "a", place: 1, what: "x"}, good{shelf: "a", place: 2, what: "y"}, good{shelf: "b", place: 1, what: "z"})
			fillWith(to, good{shelf: "a", place: 1, what: "old"}, good{shelf: "a", place: 9, what: "gone"}, good{shelf: "c", place: 1, what: "stays"})
			err = to.Update(t.Context(), func(tx *projection.Tx) error { return goods.CopyRows(t.Context(), from, tx, "shelf", "a") })
			if err != nil {
				t.Fatal(err)
			}
			rows, err := to.Query(t.Context(), `SELECT shelf, place, what FROM goods ORDER BY shelf, place`)
			if err != nil {
				t.Fatal(err)
			}
			got, err := projection.Collect(rows, func(row projection.Scanner, text *string) error {
				var g good
				err := row.Scan(&g.shelf, &g.place, &g.what)
				*text = g.key() + " " + g.what
				return err
			})
			if want := []string{"a/1 x", "a/2 y", "c/1 stays"}; err != nil || !slices.Equal(got, want) {
				t.Errorf("there are %q, %v; want %q", got, err, want)
			}
		})
	}
}

// What is compiled for a table is not in the way of one of the same name with
// other columns, that has taken its place.
func TestATableThatWasReplacedIsReadAsItIs(t *testing.T) {
	onEach(t, func(t *testing.T, where string) {
		db := open(t, where)
		for version, columns := range []string{`a TEXT PRIMARY KEY, b BIGINT`, `b BLOB, a BIGINT, c TEXT, PRIMARY KEY (c, a)`, `a TEXT`} {
			s := projection.Schema{Name: "replaced", Version: version + 1, Tables: []string{`CREATE TABLE replaced (` + columns + `)`}}
			if err := db.Create(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := s.Content(t.Context(), db); err != nil {
					t.Errorf("version %d can't be read: %v", s.Version, err)
				}
			}
			if err := db.Update(t.Context(), func(tx *projection.Tx) error { return s.Discard(t.Context(), tx) }); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := (projection.Schema{Name: "replaced", Tables: []string{`CREATE TABLE replaced (a TEXT)`}}).Content(t.Context(), db); err == nil {
			t.Error("a table that is not there has content")
		}
	})
}
