package cli

import (
	"errors"
	"log/slog"

	"github.com/triangle-suite/triangle/tools/internal/backoffice"
)

type backOfficeCommand struct {
	Addr    string `default:"127.0.0.1:8090" placeholder:"HOST:PORT" help:"Where to listen (${default})."`
	Journal string `placeholder:"FILE" help:"Where to keep what was taken in (nowhere)."`
}

// Run implements triangle backoffice.
func (c *backOfficeCommand) Run(s *session) (err error) {
	office, err := backoffice.Open(c.Journal, slog.New(slog.NewJSONHandler(s.Err, nil)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, office.Close()) }()
	return office.Serve(s.ctx, c.Addr)
}
