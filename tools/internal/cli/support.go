package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/tools/internal/migrate"
	"github.com/triangle-suite/triangle/tools/internal/support"
)

// supportTimeout is for all of a bundle.
const supportTimeout = 5 * time.Minute

type supportCommand struct {
	storeAt

	Out string `placeholder:"FILE" help:"The file to write (triangle-support-TIME.tar.gz)."`

	Channel   string `placeholder:"URL" help:"Channel support's REST port, to have its readiness and metrics."`
	Sales     string `placeholder:"URL" help:"Sales support's."`
	Marketing string `placeholder:"URL" help:"Marketing support's."`

	Namespace string `short:"n" placeholder:"NAMESPACE" help:"A namespace of the cluster, to have its objects."`
	Context   string `placeholder:"NAME" help:"The context of the kubeconfig (its current one)."`
	Logs      bool   `help:"Have the logs of its pods too: read them before you pass them on."`
}

// errLogsOfWhat says that a flag lacks another one.
var errLogsOfWhat = errors.New("--logs are those of a namespace: name it with --namespace")

// Run implements triangle support-bundle.
func (c *supportCommand) Run(s *session) error {
	if c.Logs && c.Namespace == "" {
		return errLogsOfWhat
	}
	ctx, cancel := s.within(supportTimeout)
	defer cancel()
	return c.with(s, supportTimeout, func(_ context.Context, steered *control.Flows) error {
		parts, err := c.parts(ctx, steered)
		if err != nil {
			return err
		}
		return c.write(ctx, s, parts)
	})
}

func (c *supportCommand) parts(ctx context.Context, steered *control.Flows) ([]support.Part, error) {
	parts := support.Store(steered)
	for _, service := range []struct{ name, url string }{{"channel", c.Channel}, {"sales", c.Sales}, {"marketing", c.Marketing}} {
		if service.url != "" {
			parts = append(parts, support.Service(service.name, strings.TrimSuffix(service.url, "/"))...)
		}
	}
	if c.Namespace == "" {
		return parts, nil
	}
	config, namespace, err := migrate.Config(c.Context, c.Namespace)
	if err != nil {
		return nil, err
	}
	objects, err := support.Cluster(config, namespace)
	if err != nil || !c.Logs {
		return append(parts, objects...), err
	}
	logs, err := support.Logs(ctx, config, namespace)
	return append(append(parts, objects...), logs...), err
}

func (c *supportCommand) write(ctx context.Context, s *session, parts []support.Part) error {
	at := time.Now().UTC()
	name := "triangle-support-" + at.Format("20060102T150405Z")
	path := c.Out
	if path == "" {
		path = name + ".tar.gz"
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	missing, err := support.Write(ctx, file, name, at, parts)
	if err := errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	if s.commands.JSON {
		return printJSON(s.Out, map[string]any{"file": path, "parts": len(parts) - len(missing), "missing": missing})
	}
	fmt.Fprintf(s.Out, "%s has %d parts; persons and what they wrote are left out\n", path, len(parts)-len(missing))
	if len(missing) > 0 {
		fmt.Fprintf(s.Out, "it lacks %s: missing.txt in it says why\n", strings.Join(missing, ", "))
	}
	return nil
}
