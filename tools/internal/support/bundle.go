package support

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Part is a file of a bundle.
type Part struct {
	// Name is its path in the bundle. What ends with .json is a document, which is
	// redacted; all else goes in as it is.
	Name string
	// Collect returns what is in it.
	Collect func(ctx context.Context) ([]byte, error)
}

// partTimeout is how long one part may take: what does not answer holds nothing up.
const partTimeout = 10 * time.Second

// Write collects the parts and writes them to out, as a .tar.gz in a folder of its own
// that is called name. What could not be collected stands in its file missing.txt, each
// with why; Write returns the names of these.
func Write(ctx context.Context, out io.Writer, name string, at time.Time, parts []Part) (missing []string, err error) {
	files := map[string][]byte{}
	var why strings.Builder
	for _, part := range parts {
		text, err := collect(ctx, part)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			missing = append(missing, part.Name)
			fmt.Fprintf(&why, "%s: %s\n", part.Name, refused.ReplaceAllString(err.Error(), "you "))
			continue
		}
		files[part.Name] = text
	}
	if err := redactAll(files); err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		files["missing.txt"] = []byte(why.String())
	}
	return missing, pack(out, name, at, files)
}

// refused is how Kubernetes calls who asks, where he may not.
var refused = regexp.MustCompile(`User "[^"]*" `)

func collect(ctx context.Context, part Part) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	return part.Collect(ctx)
}

// redactAll redacts the documents among files.
func redactAll(files map[string][]byte) error {
	var r Redactor
	documents := map[string]any{}
	for name, text := range files {
		if !strings.HasSuffix(name, ".json") {
			continue
		}
		var document any
		if err := json.Unmarshal(text, &document); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		documents[name] = document
		r.Learn(document)
	}
	for name, document := range documents {
		r.Redact(document)
		text, err := json.MarshalIndent(document, "", "  ")
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		files[name] = append(text, '\n')
	}
	return nil
}

func pack(out io.Writer, folder string, at time.Time, files map[string][]byte) error {
	zipped := gzip.NewWriter(out)
	archive := tar.NewWriter(zipped)
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		header := &tar.Header{Name: folder + "/" + name, Mode: 0o600, Size: int64(len(files[name])), ModTime: at, Format: tar.FormatPAX}
		err := archive.WriteHeader(header)
		if err == nil {
			_, err = archive.Write(files[name])
		}
		if err != nil {
			return fmt.Errorf("write %s into the bundle: %w", name, err)
		}
	}
	return errors.Join(archive.Close(), zipped.Close())
}
