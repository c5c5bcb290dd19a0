// Package planted shows that the checks of the flows would find a bug. Each of
// its bugs is a change of the sources that somebody could make in good faith; it
// is built in by the compiler's overlay, and the very tests that make sim runs
// have to fail. No source holds a trace of a bug.
package planted

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/tools/txtar"
)

//go:embed bugs
var files embed.FS

// Bug is a change of the sources that the checks must not let through.
type Bug struct {
	Name  string
	About string // what goes wrong, in a sentence
	Edits []Edit
}

// Edit replaces text that stands in a file once.
type Edit struct {
	Path     string // from the root of the repository, with slashes
	Old, New string
}

// separator stands between what is replaced and what comes instead, on a line of
// its own.
const separator = "=======\n"

// Bugs returns all bugs, by their names. Each is a text archive: what goes wrong,
// and for each file the text that is replaced and what comes instead.
func Bugs() ([]Bug, error) {
	names, err := fs.Glob(files, "bugs/*.txtar")
	if err != nil {
		return nil, err
	}
	all := make([]Bug, 0, len(names))
	for _, name := range names {
		raw, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		bug, err := parse(strings.TrimSuffix(path.Base(name), ".txtar"), raw)
		if err != nil {
			return nil, err
		}
		all = append(all, bug)
	}
	return all, nil
}

func parse(name string, raw []byte) (Bug, error) {
	archive := txtar.Parse(raw)
	bug := Bug{Name: name, About: strings.Join(strings.Fields(string(archive.Comment)), " ")}
	for _, file := range archive.Files {
		old, instead, ok := strings.Cut(string(file.Data), separator)
		if !ok {
			return bug, fmt.Errorf("bug %s: %s has no line %q between the old text and the new one", name, file.Name, strings.TrimSpace(separator))
		}
		bug.Edits = append(bug.Edits, Edit{Path: file.Name, Old: old, New: instead})
	}
	if len(bug.Edits) == 0 || bug.About == "" {
		return bug, fmt.Errorf("bug %s: say what goes wrong, and what is changed", name)
	}
	return bug, nil
}

// Plant writes the changed files into a folder, and returns the file to give to
// the compiler as -overlay. The sources under root stay as they are.
func (b Bug) Plant(root, folder string) (overlay string, err error) {
	if root, err = filepath.Abs(root); err != nil {
		return "", fmt.Errorf("plant %s: %w", b.Name, err)
	}
	replaced := map[string]string{}
	for i, edit := range b.Edits {
		original := filepath.Join(root, filepath.FromSlash(edit.Path))
		source := original
		if earlier, ok := replaced[original]; ok {
			source = earlier
		}
		changed, err := edit.apply(source)
		if err != nil {
			return "", fmt.Errorf("bug %s: %w", b.Name, err)
		}
		copied := filepath.Join(folder, fmt.Sprintf("%d-%s", i, path.Base(edit.Path)))
		if err := os.WriteFile(copied, changed, 0o600); err != nil {
			return "", fmt.Errorf("plant %s: %w", b.Name, err)
		}
		replaced[original] = copied
	}
	written, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return "", fmt.Errorf("plant %s: %w", b.Name, err)
	}
	overlay = filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(overlay, written, 0o600); err != nil {
		return "", fmt.Errorf("plant %s: %w", b.Name, err)
	}
	return overlay, nil
}

func (e Edit) apply(source string) ([]byte, error) {
	text, err := os.ReadFile(source) //nolint:gosec // a source of this repository
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(text, []byte(e.Old)); n != 1 {
		return nil, fmt.Errorf("the text that it replaces stands in %s %d times, want once: the source has moved on, and the bug has to follow", e.Path, n)
	}
	return bytes.Replace(text, []byte(e.Old), []byte(e.New), 1), nil
}
