package images

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// Write writes an image to an OCI archive, which containerd, podman, skopeo and kind
// load by the name that it is given, such as registry.example.com/triangle/event-store:1.4.0.
func Write(file, reference string, index v1.ImageIndex) (err error) {
	dir, err := os.MkdirTemp("", "triangle-image-")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	names := map[string]string{
		"io.containerd.image.name":          reference,
		"org.opencontainers.image.ref.name": reference,
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(names)); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := pack(file, dir); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// pack writes a folder to an archive, which gets its name once it is whole.
func pack(file, dir string) error {
	next, err := os.Create(file + ".next")
	if err != nil {
		return err
	}
	w := tar.NewWriter(next)
	err = errors.Join(packAll(w, dir), w.Close(), next.Close())
	if err != nil {
		return errors.Join(err, os.Remove(next.Name()))
	}
	return os.Rename(next.Name(), file)
}

func packAll(w *tar.Writer, dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error { // in order of names
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		header := &tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755, ModTime: time.Unix(0, 0)}
		if entry.IsDir() {
			return w.WriteHeader(header)
		}
		content, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = content.Close() }()
		info, err := content.Stat()
		if err != nil {
			return err
		}
		header.Typeflag, header.Name, header.Mode, header.Size = tar.TypeReg, name, 0o644, info.Size()
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		_, err = io.Copy(w, content)
		return err
	})
}
