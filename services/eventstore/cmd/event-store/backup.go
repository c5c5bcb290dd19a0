package main

import (
	"errors"
	"fmt"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/triangle-suite/triangle/services/eventstore"
)

// backup is the command that keeps what a running store holds.
type backup struct {
	EventStore string `name:"eventstore" env:"TRIANGLE_EVENTSTORE" required:"" placeholder:"URL" help:"The connection string of a store that runs: this one, or a cluster."`
	File       string `arg:"" help:"The backup, as export writes it and import reads it. One that is there is continued."`
}

var errConnectionString = errors.New("--eventstore is no connection string: write esdb://host:2113 for one node, or esdb+discover://host:2113 for a cluster")

// Run adds what the file does not hold yet.
func (c *backup) Run(s *surroundings) (err error) {
	config, err := esdb.ParseConnectionString(c.EventStore)
	if err != nil {
		return usageError{errConnectionString} // the client's own words may hold a password
	}
	config.Logger = esdb.NoopLogging()
	store, err := esdb.NewClient(config)
	if err != nil {
		return usageError{errConnectionString}
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	events, err := eventstore.Backup(s.ctx, store, c.File)
	if err != nil {
		return fmt.Errorf("backup, after %d events: %w", events, err)
	}
	_, err = fmt.Fprintf(s.stderr, "%d events added to %s\n", events, c.File)
	return err
}
