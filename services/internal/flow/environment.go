package flow

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// verifyEnvironment checks that the store belongs to the environment that the
// database was filled from. Who comes first to a new store founds the
// environment; a new database joins it.
func (in *Intake) verifyEnvironment(ctx context.Context) error {
	id, err := in.environment(ctx)
	if err != nil {
		return err
	}
	return in.db.Update(ctx, func(tx *projection.Tx) error {
		var known string
		err := tx.QueryRow(ctx, `SELECT id FROM flow_environment`).Scan(&known)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			_, err = tx.Exec(ctx, `INSERT INTO flow_environment (id) VALUES (?) ON CONFLICT (id) DO NOTHING`, id)
		case err == nil && known != id:
			err = fmt.Errorf("it is of environment %s, the database of %s: %w", id, known, ErrForeignStore)
		}
		return err
	})
}

// environment returns the id of the store's environment, and founds one where
// there is none.
func (in *Intake) environment(ctx context.Context) (string, error) {
	for {
		for e, err := range in.streams.Log.ReadStream(ctx, flows.EnvironmentStream, eventlog.Forward, 0, 1) {
			if errors.Is(err, eventlog.ErrNoStream) {
				break
			}
			if err != nil {
				return "", fmt.Errorf("look whose store it is: %w", err)
			}
			event, err := in.streams.Codec.Decode(ctx, e)
			if err != nil {
				return "", fmt.Errorf("look whose store it is: %w", err)
			}
			founded, ok := event.Message.(*flowv1.EnvironmentFounded)
			if !ok {
				return "", fmt.Errorf("the stream %s begins with %s: %w", flows.EnvironmentStream, e.Type, ErrForeignStore)
			}
			return founded.GetEnvironmentId(), nil
		}
		if err := in.foundEnvironment(ctx); err != nil && !errors.Is(err, eventlog.ErrWrongRevision) {
			return "", fmt.Errorf("found the environment: %w", err)
		}
	}
}

func (in *Intake) foundEnvironment(ctx context.Context) error {
	id := uuid.New()
	e, err := in.streams.Codec.Encode(ctx, &flowv1.EnvironmentFounded{EnvironmentId: id.String()}, id,
		codec.Metadata{Source: codec.Source(in.consumer.Flow.To), Subject: flows.EnvironmentStream, Time: time.Now().UTC()})
	if err != nil {
		return err
	}
	_, err = in.streams.Log.Append(ctx, flows.EnvironmentStream, eventlog.NoStream, e)
	return err
}
