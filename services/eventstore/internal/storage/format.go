package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Errors of a data folder that Open leaves as it is.
var (
	ErrForeignFolder = errors.New("the data folder is not empty and holds no event store")
	ErrNewerFormat   = errors.New("the data folder was written by a newer event store")
	ErrOlderFormat   = errors.New("the data folder was written by an older event store")
)

const (
	// format is the version of what package journal, keys.go, record.go and
	// state.go lay down. Format 1, which kept events in pebble, is not read.
	format = 2

	markerFile    = "EVENT-STORE"
	lockFile      = "LOCK"
	journalFolder = "journal"
	indexFolder   = "index"
	mountFolder   = "lost+found" // what a fresh volume holds already
)

// marker is the content of the file that makes a folder an event store.
type marker struct {
	Format int `json:"format"`
}

// claim makes dir an event store's folder, or checks that it is one that this
// version can read. It changes nothing in a folder that it refuses.
func claim(fs vfs.FS, dir string) error {
	if err := makeFolder(fs, dir); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	path := fs.PathJoin(dir, markerFile)
	content, err := readFile(fs, path)
	switch {
	case err == nil:
		return checkMarker(path, content)
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("read the data folder: %w", err)
	}
	if err := checkEmpty(fs, dir); err != nil {
		return err
	}
	if err := makeFolders(fs, dir); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if err := writeMarker(fs, dir, path); err != nil {
		return fmt.Errorf("mark the data folder: %w", err)
	}
	return nil
}

func checkMarker(path string, content []byte) error {
	var m marker
	if err := json.Unmarshal(content, &m); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrForeignFolder, path, err)
	}
	if m.Format < 1 {
		return fmt.Errorf("%w: %s names no format", ErrForeignFolder, path)
	}
	if m.Format > format {
		return fmt.Errorf("%w: format %d, this one reads format %d", ErrNewerFormat, m.Format, format)
	}
	if m.Format < format {
		return fmt.Errorf("%w: format %d, this one reads format %d; start on a new folder", ErrOlderFormat, m.Format, format)
	}
	return nil
}

// checkEmpty accepts what a start that was cut short leaves behind: empty
// folders without a marker, and the marker before it got its name.
func checkEmpty(fs vfs.FS, dir string) error {
	entries, err := fs.List(dir)
	if err != nil {
		return fmt.Errorf("read the data folder: %w", err)
	}
	for _, entry := range entries {
		switch entry {
		case mountFolder, markerFile + temporary:
			continue
		case journalFolder, indexFolder:
			if inside, err := fs.List(fs.PathJoin(dir, entry)); err == nil && len(inside) == 0 {
				continue
			}
		}
		return fmt.Errorf("%w: %s holds %q", ErrForeignFolder, dir, entry)
	}
	return nil
}

const temporary = ".tmp"

// makeFolders makes the folders of a store.
func makeFolders(fs vfs.FS, dir string) error {
	return errors.Join(makeFolder(fs, fs.PathJoin(dir, journalFolder)), makeFolder(fs, fs.PathJoin(dir, indexFolder)))
}

// ErrInUse says that another process has the data folder.
var ErrInUse = errors.New("another event store runs on this data folder")

// lockFolder makes sure that dir is this store's alone.
func lockFolder(fs vfs.FS, dir string) (io.Closer, error) {
	lock, err := fs.Lock(fs.PathJoin(dir, lockFile))
	switch {
	case err == nil:
		return lock, nil
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EACCES), strings.HasSuffix(err.Error(), lockedByUs):
		return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
	default:
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
}

// lockedByUs is how a lock is refused that this very process holds.
const lockedByUs = "lock held by current process"

// makeFolder makes a folder and the ones above it that are missing. A folder
// outlives a power cut only when the one above it was synced.
func makeFolder(fs vfs.FS, dir string) error {
	_, err := fs.Stat(dir)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	parent := fs.PathDir(dir)
	if parent == dir {
		return err
	}
	if err := makeFolder(fs, parent); err != nil {
		return err
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return syncFolder(fs, parent)
}

// syncAbove makes the names of dir and of the folders above it durable. A start
// that was killed may have made them and synced nothing.
func syncAbove(fs vfs.FS, dir string) error {
	parent := fs.PathDir(dir)
	if parent == dir {
		return nil
	}
	err := syncFolder(fs, parent)
	if err != nil && !errors.Is(err, os.ErrPermission) { // we have not made that one
		return err
	}
	return syncAbove(fs, parent)
}

// writeMarker gives the marker its name only when its content is on the disk,
// and the folder's name too.
func writeMarker(fs vfs.FS, dir, path string) error {
	if err := syncAbove(fs, dir); err != nil {
		return err
	}
	content, err := json.Marshal(marker{Format: format})
	if err != nil {
		return err
	}
	if err := writeSynced(fs, path+temporary, content); err != nil {
		return err
	}
	if err := fs.Rename(path+temporary, path); err != nil {
		return err
	}
	return syncFolder(fs, dir)
}

func writeSynced(fs vfs.FS, path string, content []byte) error {
	file, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func syncFolder(fs vfs.FS, dir string) error {
	folder, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func readFile(fs vfs.FS, path string) ([]byte, error) {
	file, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(file)
	return content, errors.Join(err, file.Close())
}
