package storage

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// folderOf makes a data folder of files, whose names may hold folders.
func folderOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// filesIn is the inverse of folderOf.
func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestRefusedFoldersStayAsTheyAre(t *testing.T) {
	cases := map[string]struct {
		files map[string]string
		want  error
	}{
		"someone's files":         {map[string]string{"letter.txt": "dear"}, ErrForeignFolder},
		"someone's database":      {map[string]string{"db/CURRENT": "MANIFEST-1"}, ErrForeignFolder},
		"a later format":          {map[string]string{markerFile: `{"format":3}`}, ErrNewerFormat},
		"an earlier format":       {map[string]string{markerFile: `{"format":1}`}, ErrOlderFormat},
		"a marker without format": {map[string]string{markerFile: `{}`}, ErrForeignFolder},
		"another one's marker":    {map[string]string{markerFile: `hello`}, ErrForeignFolder},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir := folderOf(t, tc.files)
			if _, err := Open(dir, Options{}); !errors.Is(err, tc.want) {
				t.Errorf("opening failed with %v, want %v", err, tc.want)
			}
			if diff := cmp.Diff(tc.files, filesIn(t, dir)); diff != "" {
				t.Errorf("the folder changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestFoldersThatAreTakenOver(t *testing.T) {
	cases := map[string]map[string]string{
		"empty":             {},
		"a fresh volume":    {"lost+found/.keep": ""},
		"a start cut short": {markerFile + temporary: `{"fo`},
	}
	for name, files := range cases {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(folderOf(t, files))
			for range 2 { // taken over, then found again
				store, err := Open(dir, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if err := store.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestOneStoreForOneFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	store, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // the test is about the second one
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("opening again failed with %v, want %v", err, ErrInUse)
	}
}
