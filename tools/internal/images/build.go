package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Source is where the project is.
const Source = "https://github.com/triangle-suite/triangle"

const modulePrefix = "github.com/triangle-suite/triangle/"

// Target is a program that is made an image of.
type Target struct {
	Name        string
	Package     string // its path within the project
	Description string
}

// Targets are all of ours.
var Targets = []Target{
	{"channel-support", "services/channel/cmd/channel-support", "Triangle's channel service: contacts, requests and next best actions"},
	{"sales-support", "services/sales/cmd/sales-support", "Triangle's sales service: customers, requests and their fulfilment"},
	{"marketing-support", "services/marketing/cmd/marketing-support", "Triangle's marketing service: campaigns, leads and decisions"},
	{"event-store", "services/eventstore/cmd/event-store", "Triangle's embedded event store, for one node"},
	{"triangle-operator", "operator/cmd/triangle-operator", "Triangle's operator: rolls services out and migrates flows"},
	{"triangle", "tools/cmd/triangle", "Triangle's command: looks at flows and steers them"},
}

// Build builds a target's program for each platform: static, and without the paths of
// this machine, or what its repository is like.
func Build(ctx context.Context, t Target, platforms []string) (p Program, err error) {
	dir, err := os.MkdirTemp("", "triangle-build-")
	if err != nil {
		return p, fmt.Errorf("build %s: %w", t.Name, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p = Program{Name: t.Name, Binaries: map[string][]byte{}}
	for _, name := range platforms {
		platform, err := ParsePlatform(name)
		if err != nil {
			return p, err
		}
		if p.Binaries[name], err = compile(ctx, filepath.Join(dir, t.Name), t, platform); err != nil {
			return p, err
		}
	}
	return p, nil
}

func compile(ctx context.Context, to string, t Target, platform v1.Platform) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", to, modulePrefix+t.Package)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+platform.OS, "GOARCH="+platform.Architecture)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s for %s: %w\n%s", t.Name, platform.String(), err, out)
	}
	return os.ReadFile(to)
}

// Origin is what a program was built from.
type Origin struct {
	Version  string
	Revision string    // the commit; empty when there is none
	Created  time.Time // when it was committed
}

// Describe labels a program, by the words that registries and scanners know.
func (p *Program) Describe(t Target, o Origin) {
	p.Created = o.Created.UTC()
	p.Labels = map[string]string{
		"org.opencontainers.image.title":       t.Name,
		"org.opencontainers.image.description": t.Description,
		"org.opencontainers.image.version":     o.Version,
		"org.opencontainers.image.source":      Source,
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.created":     p.Created.Format(time.RFC3339),
	}
	if o.Revision != "" {
		p.Labels["org.opencontainers.image.revision"] = o.Revision
	}
}
