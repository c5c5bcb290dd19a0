// Package images makes container images of our programs, without a container engine:
// one static binary each, the time zones, and the certificates that everybody
// trusts; nothing else. The same binary always gives the same image, to the byte.
//
//	/channel-support                     the program, which is also the entry point
//	/etc/ssl/certs/ca-certificates.crt   the roots that Mozilla trusts without condition
//	/usr/share/zoneinfo/…                the time zones of the Go that built it
package images

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// User is whom a program runs as, and his group: nobody in particular, as in other
// images without users of their own.
const User = "65532"

// ErrPlatform says that a platform can't be meant.
var ErrPlatform = errors.New("write a platform as linux/amd64 or linux/arm64")

// Program is what an image is made of.
type Program struct {
	// Name is what its file is called.
	Name string
	// Binaries are the program, by platform: linux/amd64, linux/arm64.
	Binaries map[string][]byte
	// Args are what it is started with, unless who runs it says otherwise.
	Args []string
	// Labels tell of it.
	Labels map[string]string
	// Created is when what it was built from was.
	Created time.Time
}

// Index makes an image for each platform. It fails with ErrPlatform.
func (p Program) Index() (v1.ImageIndex, error) {
	base, err := baseLayer()
	if err != nil {
		return nil, err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, name := range slices.Sorted(maps.Keys(p.Binaries)) {
		platform, err := ParsePlatform(name)
		if err != nil {
			return nil, err
		}
		image, err := p.image(platform, base, p.Binaries[name])
		if err != nil {
			return nil, fmt.Errorf("make the image of %s for %s: %w", p.Name, name, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{MediaType: types.OCIManifestSchema1, Platform: &platform},
		})
	}
	return index, nil
}

// ParsePlatform reads one, such as linux/arm64. It fails with ErrPlatform.
func ParsePlatform(name string) (v1.Platform, error) {
	if name != "linux/amd64" && name != "linux/arm64" {
		return v1.Platform{}, fmt.Errorf("%q: %w", name, ErrPlatform)
	}
	system, architecture, _ := strings.Cut(name, "/")
	return v1.Platform{OS: system, Architecture: architecture}, nil
}

func (p Program) image(platform v1.Platform, base v1.Layer, binary []byte) (v1.Image, error) {
	program, err := layer([]entry{{path: p.Name, content: binary, mode: 0o555}})
	if err != nil {
		return nil, err
	}
	created := v1.Time{Time: p.Created.UTC()}
	image, err := mutate.Append(
		mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON),
		mutate.Addendum{Layer: base, MediaType: types.OCILayer, History: v1.History{Created: created, CreatedBy: "time zones and certificates"}},
		mutate.Addendum{Layer: program, MediaType: types.OCILayer, History: v1.History{Created: created, CreatedBy: "the program"}},
	)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = platform.OS, platform.Architecture, created
	config.Config = v1.Config{
		Entrypoint: []string{"/" + p.Name}, Cmd: p.Args, User: User + ":" + User, WorkingDir: "/", Labels: p.Labels,
		Env: []string{"PATH=/", "SSL_CERT_FILE=/" + certificates},
	}
	return mutate.ConfigFile(image, config)
}
