package flow

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/triangle-suite/triangle/services/internal/projection"
)

// wantedRole is the row that says which tables are wanted.
const wantedRole = "build"

// wanted names the tables of this build.
func (rt *Runtime) wanted() string {
	var all []string
	for _, in := range rt.intakes {
		if s := in.consumer.Schema; s.Name != "" {
			all = append(all, fmt.Sprintf("%s %d", s.Name, s.Version))
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// want says that the tables are to be this build's. It holds until another one
// says so: a replica that tries again does not say it again.
func (rt *Runtime) want(ctx context.Context) error {
	if rt.versions.said {
		return rt.confirmWanted(ctx)
	}
	err := rt.DB.UpdateQuietly(ctx, func(tx *projection.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO flow_rebuild_wanted (role, versions) VALUES (?,?) ON CONFLICT (role) DO UPDATE SET versions = excluded.versions`, wantedRole, rt.wanted())
		return err
	})
	if err != nil {
		return fmt.Errorf("say which tables are wanted: %w", err)
	}
	rt.versions.said = true
	return nil
}

func (rt *Runtime) confirmWanted(ctx context.Context) error { return rt.confirmWantedIn(ctx, rt.DB) }

// confirmWantedIn fails with errOvertaken when another build has begun to rebuild.
func (rt *Runtime) confirmWantedIn(ctx context.Context, q projection.Querier) error {
	var versions string
	if err := q.QueryRow(ctx, `SELECT versions FROM flow_rebuild_wanted WHERE role = ?`, wantedRole).Scan(&versions); err != nil {
		return fmt.Errorf("look which tables are wanted: %w", err)
	}
	if versions != rt.wanted() {
		return errOvertaken
	}
	return nil
}

// noteBeside notes which databases beside there are about to be.
func (rt *Runtime) noteBeside(ctx context.Context, all []*rebuilt) error {
	return rt.DB.UpdateQuietly(ctx, func(tx *projection.Tx) error {
		for _, r := range all {
			if _, err := tx.Exec(ctx, `INSERT INTO flow_rebuild_beside (name) VALUES (?) ON CONFLICT (name) DO NOTHING`, r.name); err != nil {
				return fmt.Errorf("note the database beside: %w", err)
			}
		}
		return nil
	})
}

// clearBeside removes the databases beside that are left, unless somebody works
// on one. What can't be removed now is removed at another start.
func (rt *Runtime) clearBeside(ctx context.Context) {
	names, err := rt.listBeside(ctx)
	if err == nil && len(names) > 0 {
		err = rt.asBuilder(ctx, func(ctx context.Context, _ lease) error { return rt.dropBeside(ctx) })
	}
	if err != nil && ctx.Err() == nil {
		rt.Logger.Warn("tables beside are removed at another start", "reason", err.Error())
	}
}

func (rt *Runtime) listBeside(ctx context.Context) ([]string, error) {
	rows, err := rt.DB.Query(ctx, `SELECT name FROM flow_rebuild_beside ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("look for databases beside: %w", err)
	}
	return projection.Collect(rows, func(row projection.Scanner, name *string) error { return row.Scan(name) })
}

// dropBeside removes the databases beside, but for those of some projections.
func (rt *Runtime) dropBeside(ctx context.Context, keep ...*rebuilt) error {
	names, err := rt.listBeside(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if slices.ContainsFunc(keep, func(r *rebuilt) bool { return r.name == name }) {
			continue
		}
		beside, err := rt.DB.Beside(ctx, name)
		if err != nil {
			return err
		}
		if err := beside.Drop(ctx); err != nil {
			return err
		}
		err = rt.DB.UpdateQuietly(ctx, func(tx *projection.Tx) error {
			_, err := tx.Exec(ctx, `DELETE FROM flow_rebuild_beside WHERE name = ?`, name)
			return err
		})
		if err != nil {
			return fmt.Errorf("forget a database beside: %w", err)
		}
	}
	return nil
}
