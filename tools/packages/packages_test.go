package packages

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

func TestWhatIsThereIsNotInstalled(t *testing.T) {
	if err := Install(t.Context(), io.Discard, Need{"go", "go"}, Need{"test", os.Args[0]}); err != nil {
		t.Error(err)
	}
}

// What can't be had is named, by what it is called where it can.
func TestWhatCannotBeHadIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // there is no apt-get in it
	err := Install(t.Context(), io.Discard, Need{"containerd", "ctr"}, Need{"containerd", "containerd"}, Need{"runc", "runc"})
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "install containerd, runc (") {
		t.Errorf("the error is %v", err)
	}
}
