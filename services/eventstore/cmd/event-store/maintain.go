package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/triangle-suite/triangle/services/eventstore"
)

// folder is the flag of the commands that work on the data of a store that
// does not run.
type folder struct {
	Data string `required:"" placeholder:"DIR" help:"The data folder of a store that does not run."`
}

func (f folder) data() eventstore.Data { return eventstore.Folder(f.Data) }

// verify is the command that looks for damage.
type verify struct {
	folder
}

var errDamageFound = errors.New("the store is damaged")

// Run prints each damage on a line of its own, and then what was read.
func (c *verify) Run(s *surroundings) error {
	var printing error
	found, index := 0, false
	verified, err := eventstore.Verify(c.data(), func(damage error) {
		found++
		index = index || errors.Is(damage, eventstore.ErrIndexDamaged)
		_, err := fmt.Fprintln(s.stdout, damage)
		printing = errors.Join(printing, err)
	})
	if err := errors.Join(err, printing); err != nil {
		return err
	}
	if err := c.notice(s.stdout, verified); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.stdout, "%d events in %d chunks, %d bytes: %d damages\n", verified.Records, verified.Chunks, verified.Bytes, found)
	switch {
	case found == 0 || err != nil:
		return err
	case index:
		return fmt.Errorf("%w: the events are whole; event-store reindex makes the index again", errDamageFound)
	default:
		return fmt.Errorf("%w: restore the folder from a copy of it", errDamageFound)
	}
}

// notice tells what is no damage, and yet worth a look.
func (c *verify) notice(out io.Writer, verified eventstore.Verified) error {
	if verified.Torn > 0 {
		if _, err := fmt.Fprintf(out, "a write at position %d was cut short: nobody was told that it is durable; the next start cuts it off\n", verified.Torn); err != nil {
			return err
		}
	}
	for _, name := range verified.Kept {
		if _, err := fmt.Fprintf(out, "%s keeps what was cut off after a write that was cut short\n", name); err != nil {
			return err
		}
	}
	return nil
}

// reindex is the command that makes the index again.
type reindex struct {
	folder
}

// Run removes the index; the next start makes it.
func (c *reindex) Run(s *surroundings) error {
	if err := eventstore.Reindex(c.data()); err != nil {
		return err
	}
	_, err := fmt.Fprintln(s.stdout, "the next start makes the index again")
	return err
}

// scavenge is the command that removes what no reader sees.
type scavenge struct {
	folder
}

// Run scavenges, and prints what has gone.
func (c *scavenge) Run(s *surroundings) error {
	done, err := eventstore.Scavenge(c.data(), slog.New(slog.NewJSONHandler(s.stderr, nil)))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.stdout, "%d events removed from %d chunks, %d kept, %d bytes freed\n", done.Removed, done.Chunks, done.Kept, done.Freed)
	return err
}

// export is the command that writes events as lines of JSON.
type export struct {
	folder
	File string `arg:"" optional:"" default:"-" help:"Where to, - for standard output."`
}

// Run writes all events, in the order of their positions.
func (c *export) Run(s *surroundings) error {
	if c.File == "-" {
		return c.to(s.stdout, s.stderr)
	}
	file, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	err = errors.Join(c.to(file, s.stderr), file.Sync(), file.Close())
	if err != nil { // a part of the events must not be taken for all of them
		err = errors.Join(err, os.Remove(c.File))
	}
	return err
}

func (c *export) to(out, told io.Writer) error {
	events, err := eventstore.Export(c.data(), out)
	if err != nil {
		return fmt.Errorf("export, after %d events: %w", events, err)
	}
	_, err = fmt.Fprintf(told, "%d events exported\n", events)
	return err
}

// importEvents is the command that makes a store of exported events.
type importEvents struct {
	Data string `required:"" placeholder:"DIR" help:"A new folder."`
	File string `arg:"" help:"What export has written, - for standard input."`
}

// Run makes the store.
func (c *importEvents) Run(s *surroundings) error {
	in := s.stdin
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("import: %w", err)
		}
		defer file.Close() //nolint:errcheck // it was only read
		in = file
	}
	events, err := eventstore.Import(eventstore.Folder(c.Data), in)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	_, err = fmt.Fprintf(s.stderr, "%d events imported\n", events)
	return err
}
