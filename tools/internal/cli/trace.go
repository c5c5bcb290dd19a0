package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/triangle-suite/triangle/services/story"
)

const (
	// traceTimeout is for reading the log from the contact's first event on.
	traceTimeout = 10 * time.Minute
	// quietly is for how long nothing is said of a read that goes on.
	quietly = time.Second
)

type traceCommand struct {
	storeAt

	ID    string `arg:"" name:"contact" help:"The contact's id, or that of one of its requests; or that of an event, or of a trace, which is looked up in all of the log, as is the beginning of an id."`
	Until string `placeholder:"TIME" help:"Read no event that was recorded after this time (RFC 3339, such as 2026-11-23T02:00:00Z)."`
	Limit int    `placeholder:"N" help:"Read so many events of the log at most (no limit)."`
	Full  bool   `help:"Print ids in full."`
}

// Validate implements kong's check of a command's arguments.
func (c *traceCommand) Validate() error {
	if c.Limit < 0 {
		return fmt.Errorf("--limit is %d: write how many events to read at most; without it there is no limit", c.Limit)
	}
	_, err := c.until()
	return err
}

func (c *traceCommand) until() (time.Time, error) {
	if c.Until == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, c.Until)
	if err != nil {
		return t, fmt.Errorf("--until is %q: write a time such as 2026-11-23T02:00:00Z", c.Until)
	}
	return t, nil
}

// Run implements triangle trace.
func (c *traceCommand) Run(s *session) (err error) {
	connection, err := c.connection(s)
	if err != nil {
		return err
	}
	reader, err := story.Connect(connection)
	if err != nil {
		return fmt.Errorf("--eventstore: %w", err)
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	if err := reach(s, reader.Flows()); err != nil {
		return err
	}
	ctx, cancel := s.within(traceTimeout)
	defer cancel()
	seen, end := s.readingProgress()
	until, err := c.until()
	if err != nil {
		return err
	}
	told, err := reader.Of(ctx, c.ID, story.Options{Until: until, Limit: c.Limit, Seen: seen})
	end()
	if err != nil {
		return err
	}
	if s.commands.JSON {
		return printJSON(s.Out, toTrace(told))
	}
	return s.printTrace(told, c.Full)
}

// batch is how many events of the log make one step of the progress that is drawn.
const batch = 1000

// readingProgress draws how much was read, once that takes long.
func (s *session) readingProgress() (one, end func()) {
	var draw, ended func()
	began, read := time.Now(), 0
	one = func() {
		if read++; read%batch != 0 {
			return
		}
		if draw == nil && time.Since(began) > quietly {
			draw, ended = s.progressOf("reading the log", "thousand events", -1)
		}
		if draw != nil {
			draw()
		}
	}
	return one, func() {
		if ended != nil {
			ended()
		}
	}
}
