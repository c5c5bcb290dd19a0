package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
)

const watermillTopic = "bench"

// Watermill is watermill-sql on a PostgreSQL.
type Watermill struct {
	pool      *pgxpool.Pool
	publisher *watermillsql.Publisher
}

// OpenWatermill opens it on p, with so many connections.
func OpenWatermill(ctx context.Context, p *Postgres, connections int) (*Watermill, error) {
	pool, err := p.Pool(ctx, connections)
	if err != nil {
		return nil, err
	}
	publisher, err := watermillsql.NewPublisher(watermillsql.BeginnerFromPgx(pool),
		watermillsql.PublisherConfig{SchemaAdapter: watermillsql.DefaultPostgreSQLSchema{}, AutoInitializeSchema: true}, watermill.NopLogger{})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open watermill-sql: %w", err)
	}
	return &Watermill{pool: pool, publisher: publisher}, nil
}

// Append publishes so many events at once.
func (w *Watermill) Append(ctx context.Context, events int) error {
	messages := make([]*message.Message, events)
	for i := range messages {
		messages[i] = message.NewMessageWithContext(ctx, watermill.NewUUID(), Payload)
	}
	return w.publisher.Publish(watermillTopic, messages...)
}

// Fill publishes events, so many at once, and lets PostgreSQL know how many
// there are, as it would find out by itself after a while.
func (w *Watermill) Fill(ctx context.Context, events, batch int) error {
	for left := events; left > 0; left -= batch {
		if err := w.Append(ctx, min(left, batch)); err != nil {
			return err
		}
	}
	if _, err := w.pool.Exec(ctx, "VACUUM ANALYZE"); err != nil {
		return fmt.Errorf("analyse PostgreSQL's tables: %w", err)
	}
	return nil
}

// CatchUp has a new consumer group take in so many events from the start,
// batch at a time, and returns how long that took from the first event on.
func (w *Watermill) CatchUp(ctx context.Context, events, batch int) (took time.Duration, err error) {
	subscriber, err := watermillsql.NewSubscriber(watermillsql.BeginnerFromPgx(w.pool), watermillsql.SubscriberConfig{
		ConsumerGroup:    watermill.NewShortUUID(),
		SchemaAdapter:    watermillsql.DefaultPostgreSQLSchema{SubscribeBatchSize: batch},
		OffsetsAdapter:   watermillsql.DefaultPostgreSQLOffsetsAdapter{},
		InitializeSchema: true,
	}, watermill.NopLogger{})
	if err != nil {
		return 0, fmt.Errorf("subscribe by watermill-sql: %w", err)
	}
	defer func() { err = errors.Join(err, subscriber.Close()) }()
	messages, err := subscriber.Subscribe(ctx, watermillTopic)
	if err != nil {
		return 0, fmt.Errorf("subscribe by watermill-sql: %w", err)
	}
	var start time.Time
	for i := range events {
		m, ok := <-messages
		if !ok {
			return 0, fmt.Errorf("subscribe by watermill-sql: ended after %d events", i)
		}
		m.Ack()
		if i == 0 {
			start = time.Now()
		}
	}
	return time.Since(start), nil
}

// Close closes it, not the PostgreSQL.
func (w *Watermill) Close() error {
	defer w.pool.Close()
	return w.publisher.Close()
}
