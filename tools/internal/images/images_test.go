package images

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

var here = "linux/" + runtime.GOARCH

// pause is our smallest program, so that it can be built often.
var pause = Target{Name: "pause", Package: "tools/cmd/pause", Description: "waits"}

func build(t *testing.T) Program {
	t.Helper()
	p, err := Build(t.Context(), pause, []string{here})
	if err != nil {
		t.Fatal(err)
	}
	p.Args = []string{"--until=told"}
	p.Describe(pause, Origin{Version: "1.4.0", Revision: "0123456", Created: time.Unix(1700000000, 0)})
	return p
}

func indexOf(t *testing.T, p Program) v1.ImageIndex {
	t.Helper()
	index, err := p.Index()
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// imageOf is the image for a platform.
func imageOf(t *testing.T, index v1.ImageIndex, architecture string) v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		if m.Platform.OS == "linux" && m.Platform.Architecture == architecture {
			image, err := index.Image(m.Digest)
			if err != nil {
				t.Fatal(err)
			}
			return image
		}
	}
	t.Fatalf("there is no image for %s", architecture)
	return nil
}

// files are what an image consists of, with their modes.
func files(t *testing.T, image v1.Image) map[string]int64 {
	t.Helper()
	extracted := mutate.Extract(image)
	defer func() { _ = extracted.Close() }()
	all := map[string]int64{}
	for r := tar.NewReader(extracted); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg {
			all[header.Name] = header.Mode
		}
	}
}

// Two builds, one in a folder of another name and with nothing kept of the first, give
// the same archive to the byte.
func TestTwoBuildsGiveTheSameImage(t *testing.T) {
	var archives [][]byte
	for _, folder := range []string{"one", "another-folder"} {
		dir := filepath.Join(t.TempDir(), folder)
		program := filepath.Join(dir, "pause")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"go.mod": "module example.com/pause\n\ngo 1.26\n", "main.go": sourceOf(t, "../../cmd/pause/main.go")} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, ".")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		binary, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		archive := filepath.Join(dir, "pause.tar")
		p := Program{Name: "pause", Binaries: map[string][]byte{here: binary}, Created: time.Unix(1700000000, 0)}
		if err := Write(archive, "example.com/pause:1", indexOf(t, p)); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, text)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two builds give two archives")
	}
}

func sourceOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Another binary is another image: the digest is of what is in it.
func TestAnotherProgramIsAnotherImage(t *testing.T) {
	digest := func(binary string) v1.Hash {
		hash, err := indexOf(t, Program{Name: "p", Binaries: map[string][]byte{here: []byte(binary)}}).Digest()
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	one, again, other := digest("one"), digest("one"), digest("other")
	if one != again || one == other {
		t.Errorf("the digests are %s, %s, and %s of another binary", one, again, other)
	}
}

func TestAnImageHoldsTheProgramAndWhatItNeeds(t *testing.T) {
	image := imageOf(t, indexOf(t, build(t)), runtime.GOARCH)
	all := files(t, image)
	for _, want := range []string{"pause", "etc/ssl/certs/ca-certificates.crt", "usr/share/zoneinfo/Europe/Amsterdam", "usr/share/zoneinfo/UTC"} {
		if _, ok := all[want]; !ok {
			t.Errorf("there is no %s", want)
		}
	}
	for name, mode := range all {
		known := name == "pause" || name == certificates || strings.HasPrefix(name, zones+"/")
		if !known || mode&0o222 != 0 {
			t.Errorf("there is %s, of mode %o", name, mode)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c := config.Config; c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/pause"}) || !slices.Equal(c.Cmd, []string{"--until=told"}) {
		t.Errorf("it runs %v %v as %s, want /pause with its arguments as somebody without rights", c.Entrypoint, c.Cmd, c.User)
	}
	for _, label := range []string{"title", "description", "version", "source", "licenses", "created", "revision"} {
		if config.Config.Labels["org.opencontainers.image."+label] == "" {
			t.Errorf("it has no label %s", label)
		}
	}
}

func TestAnImageIsMadeForEachPlatform(t *testing.T) {
	index := indexOf(t, Program{Name: "p", Binaries: map[string][]byte{"linux/amd64": []byte("x86"), "linux/arm64": []byte("arm")}})
	for _, architecture := range []string{"amd64", "arm64"} {
		config, err := imageOf(t, index, architecture).ConfigFile()
		if err != nil || config.Architecture != architecture || config.OS != "linux" {
			t.Errorf("the image for %s says %+v (%v)", architecture, config, err)
		}
	}
	for _, wrong := range []string{"", "amd64", "windows/amd64", "linux/mips"} {
		if _, err := (Program{Name: "p", Binaries: map[string][]byte{wrong: nil}}).Index(); !errors.Is(err, ErrPlatform) {
			t.Errorf("platform %q gives %v, want ErrPlatform", wrong, err)
		}
	}
}

// What loads an archive finds the image by the name that it was given.
func TestAnArchiveNamesItsImage(t *testing.T) {
	dir := t.TempDir()
	archive := filepath.Join(dir, "p.tar")
	index := indexOf(t, Program{Name: "p", Binaries: map[string][]byte{here: []byte("x")}})
	if err := Write(archive, "example.com/p:1.4.0", index); err != nil {
		t.Fatal(err)
	}
	unpacked := filepath.Join(dir, "unpacked")
	unpack(t, archive, unpacked)
	path, err := layout.FromPath(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	read, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := read.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("it holds %+v (%v), want one image", manifest, err)
	}
	if name := manifest.Manifests[0].Annotations["io.containerd.image.name"]; name != "example.com/p:1.4.0" {
		t.Errorf("it is called %q", name)
	}
	if err := validate.Index(read); err != nil {
		t.Error(err)
	}
}

func unpack(t *testing.T, archive, to string) {
	t.Helper()
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for r := tar.NewReader(file); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		content, readErr := io.ReadAll(r)
		path := filepath.Join(to, header.Name)
		if header.Typeflag == tar.TypeDir {
			err = errors.Join(err, os.MkdirAll(path, 0o755))
		} else {
			err = errors.Join(err, readErr, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheBillNamesWhatIsInTheBinary(t *testing.T) {
	p, err := Build(t.Context(), Target{Name: "images", Package: "tools/cmd/images"}, []string{here})
	if err != nil {
		t.Fatal(err)
	}
	binary := p.Binaries[here]
	var told bytes.Buffer
	if err := Bill(&told, "images", "1.4.0", binary); err != nil {
		t.Fatal(err)
	}
	var bom cdx.BOM
	if err := json.Unmarshal(told.Bytes(), &bom); err != nil {
		t.Fatal(err)
	}
	found := map[string]cdx.Component{}
	for _, c := range *bom.Components {
		found[c.Name] = c
		if strings.HasPrefix(c.Name, modulePrefix) {
			t.Errorf("%s is ours, no material", c.Name)
		}
	}
	for _, want := range []string{"stdlib", "github.com/google/go-containerregistry", "github.com/CycloneDX/cyclonedx-go"} {
		if c := found[want]; c.Version == "" || !strings.HasPrefix(c.PackageURL, "pkg:golang/"+want+"@") {
			t.Errorf("of %s it says %+v", want, c)
		}
	}
	if err := Bill(&told, "text", "1", []byte("no program")); err == nil {
		t.Error("a bill was made of what is no program")
	}
}
