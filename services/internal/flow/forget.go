package flow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Tables may hold in clear what events hold sealed. When a key is destroyed, what is
// there is emptied (Forget), and what is on its way arrives empty: an event that was
// decoded before is looked at again when it is projected. A transaction that looked
// before the key was destroyed ends before the columns are emptied, as both hold the
// checkpoint's row:
//
//	intake   fence ── looks: there is a key ── writes ── commits
//	Forget            the key is destroyed ·············· fence ── empties ── commits
//
// What is emptied is personal, so no content that is compared or audited changes.

// seeing has a consumer project events as they can be read now.
func seeing(streams *decider.Streams, c Consumer) Consumer {
	project := c.Project
	if len(c.Schema.Sealed) == 0 || project == nil {
		return c
	}
	c.Project = func(ctx context.Context, tx *projection.Tx, e codec.Event) error {
		now, err := streams.Codec.Again(ctx, e)
		if err != nil {
			return err
		}
		return project(ctx, tx, now)
	}
	return c
}

// Forget empties what the tables of the service's flows, and of their shadows, hold
// in clear of subjects of a kind, such as customer. Their keys are destroyed before,
// and this process knows it. Doing it again does nothing.
func (rt *Runtime) Forget(ctx context.Context, kind string, ids ...string) error {
	for _, name := range slices.Sorted(maps.Keys(rt.intakes)) {
		in := rt.intakes[name]
		concerned := slices.ContainsFunc(in.consumer.Schema.Sealed, func(c projection.Sealed) bool { return c.Subject == kind })
		if !concerned || len(ids) == 0 {
			continue
		}
		if err := errors.Join(in.forget(ctx, rt.DB, kind, ids), in.forgetBeside(ctx, kind, ids)); err != nil {
			return fmt.Errorf("empty what the tables of %s hold of who was erased: %w", name, err)
		}
	}
	return nil
}

func (in *Intake) forget(ctx context.Context, db *projection.DB, kind string, ids []string) error {
	return db.UpdateQuietly(ctx, func(tx *projection.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE flow_checkpoint SET owner = owner WHERE flow = ?`, in.consumer.Flow.Name); err != nil {
			return fmt.Errorf("wait for what is being taken in: %w", err)
		}
		return in.consumer.Schema.Forget(ctx, tx, kind, ids)
	})
}

// forgetBeside does so in the databases of the flow's shadow, where there is one.
func (in *Intake) forgetBeside(ctx context.Context, kind string, ids []string) error {
	names, err := in.db.Besides(ctx, nameShadow(in.consumer.Flow.Name))
	if err != nil {
		return err
	}
	for _, name := range names {
		beside, err := in.db.Beside(ctx, name)
		if err != nil {
			return err
		}
		if err := errors.Join(in.forget(ctx, beside, kind, ids), beside.Close()); err != nil {
			return err
		}
	}
	return nil
}

// nameShadow is what the names of the databases of a flow's shadow begin with.
func nameShadow(flow string) string { return "shadow-" + flow }
