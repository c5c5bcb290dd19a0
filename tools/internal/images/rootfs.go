package images

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Where things are in an image.
const (
	certificates = "etc/ssl/certs/ca-certificates.crt"
	zones        = "usr/share/zoneinfo"
)

// entry is a file of an image.
type entry struct {
	path    string
	content []byte
	mode    int64
}

// baseLayer is what all images have in common. Files that are the same are a layer
// that is stored once.
var baseLayer = sync.OnceValues(func() (v1.Layer, error) {
	files, err := zoneFiles()
	if err != nil {
		return nil, err
	}
	return layer(append(files, entry{certificates, trusted(), 0o444}))
})

// trusted are the certificates of those whom Mozilla trusts to tell who a server is.
// A root that is trusted for older certificates alone is left out: a file of
// certificates can't say so.
func trusted() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return b.Bytes()
}

// zoneFiles are the time zones that come with Go, which is the one thing that every
// machine has that builds images.
func zoneFiles() (files []entry, err error) {
	root, err := goRoot()
	if err != nil {
		return nil, err
	}
	archive, err := zip.OpenReader(filepath.Join(root, "lib", "time", "zoneinfo.zip"))
	if err != nil {
		return nil, fmt.Errorf("read the time zones that come with Go: %w", err)
	}
	defer func() { _ = archive.Close() }()
	for _, file := range archive.File {
		if strings.HasSuffix(file.Name, "/") {
			continue
		}
		content, err := contentOf(file)
		if err != nil {
			return nil, fmt.Errorf("read time zone %s: %w", file.Name, err)
		}
		files = append(files, entry{path.Join(zones, file.Name), content, 0o444})
	}
	return files, nil
}

// goRoot is where the Go is that builds the programs. A program that was built
// without paths, as this one may be, does not know it by itself.
func goRoot() (string, error) {
	out, err := exec.CommandContext(context.Background(), "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("ask go where it is: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func contentOf(file *zip.File) ([]byte, error) {
	r, err := file.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return io.ReadAll(r)
}

// layer makes a layer of files: in order, of no time and no owner, so that the same
// files are the same layer.
func layer(files []entry) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	slices.SortFunc(files, func(one, other entry) int { return strings.Compare(one.path, other.path) })
	made := map[string]bool{".": true}
	for _, file := range files {
		if err := makeFolders(w, path.Dir(file.path), made); err != nil {
			return nil, err
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: file.path, Size: int64(len(file.content)), Mode: file.mode, ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(file.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer))
}

// makeFolders makes a folder and those that it is in, each once.
func makeFolders(w *tar.Writer, folder string, made map[string]bool) error {
	if made[folder] {
		return nil
	}
	if err := makeFolders(w, path.Dir(folder), made); err != nil {
		return err
	}
	made[folder] = true
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o755, ModTime: time.Unix(0, 0)})
}
