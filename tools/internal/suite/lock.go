package suite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// ErrFolderInUse says that another command runs on the same data folder.
var ErrFolderInUse = errors.New("the data folder is in use by another triangle: stop it, or take another folder with --data")

// lockFolder makes a data folder this process's own until the returned file is
// closed, which the end of the process does too.
func lockFolder(l Layout) (*os.File, error) {
	f, err := os.OpenFile(l.lock(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		owner, _ := io.ReadAll(io.LimitReader(f, 20)) // it only makes the message better
		err = fmt.Errorf("%s (process %s): %w", l.Dir(), strings.TrimSpace(string(owner)), ErrFolderInUse)
	} else if err == nil {
		err = errors.Join(f.Truncate(0), writeAtStart(f, pidText(os.Getpid())))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func writeAtStart(f *os.File, text []byte) error {
	_, err := f.WriteAt(text, 0)
	return err
}
