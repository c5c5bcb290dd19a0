// Command images makes container images of the project's programs: OCI archives, and
// beside each, per platform, its bill of materials. It needs no container engine.
//
//	images --out bin/images --registry registry.example.com/triangle --version 1.4.0
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/triangle-suite/triangle/tools/internal/images"
)

type settings struct {
	Out       string    `default:"bin/images" help:"The folder to write to."`
	Registry  string    `default:"registry.example.com/triangle" help:"What the images' names begin with."`
	Version   string    `default:"dev" help:"The images' tag."`
	Platforms []string  `default:"linux/amd64" help:"What to build for: linux/amd64, linux/arm64, or both."`
	Revision  string    `help:"The commit that they are built from."`
	Created   time.Time `default:"1970-01-01T00:00:00Z" placeholder:"TIME" help:"When that was committed, as 2026-01-31T09:30:00Z."`
	Only      []string  `placeholder:"NAME" help:"Make these images alone."`
	Args      []string  `placeholder:"ARG" sep:"none" help:"What the programs are started with, unless who runs them says otherwise."`
}

func main() {
	var s settings
	kong.Parse(&s, kong.Name("images"), kong.Description("Makes container images of the project's programs, as OCI archives."))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := s.run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func (s settings) run(ctx context.Context, w io.Writer) error {
	for _, name := range s.Only {
		if !slices.ContainsFunc(images.Targets, func(t images.Target) bool { return t.Name == name }) {
			return fmt.Errorf("--only %s: there is no such program", name)
		}
	}
	if err := os.MkdirAll(s.Out, 0o755); err != nil {
		return fmt.Errorf("make the folder of images: %w", err)
	}
	for _, target := range images.Targets {
		if len(s.Only) > 0 && !slices.Contains(s.Only, target.Name) {
			continue
		}
		if err := s.make(ctx, w, target); err != nil {
			return err
		}
	}
	return nil
}

// make makes one image, and tells its name with its digest.
func (s settings) make(ctx context.Context, w io.Writer, target images.Target) error {
	program, err := images.Build(ctx, target, s.Platforms)
	if err != nil {
		return err
	}
	program.Args = s.Args
	program.Describe(target, images.Origin{Version: s.Version, Revision: s.Revision, Created: s.Created})
	index, err := program.Index()
	if err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return fmt.Errorf("the digest of %s: %w", target.Name, err)
	}
	reference := s.Registry + "/" + target.Name + ":" + s.Version
	err = errors.Join(images.Write(filepath.Join(s.Out, target.Name+".tar"), reference, index), s.bills(program))
	fmt.Fprintf(w, "%s@%s\n", reference, digest)
	return err
}

// bills writes what each binary consists of beside the archive.
func (s settings) bills(p images.Program) error {
	for platform, binary := range p.Binaries {
		var b bytes.Buffer
		if err := images.Bill(&b, p.Name, s.Version, binary); err != nil {
			return err
		}
		file := filepath.Join(s.Out, p.Name+"."+strings.ReplaceAll(platform, "/", "-")+".cdx.json")
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			return fmt.Errorf("write what %s consists of: %w", p.Name, err)
		}
	}
	return nil
}
