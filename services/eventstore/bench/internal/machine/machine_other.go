//go:build unix && !linux

package machine

import (
	"os"
	"syscall"
)

// FileSystem names the file system that folder dir is on.
func FileSystem(string) (string, error) { return "unknown", nil }

// SyncData makes what was written to a file durable.
func SyncData(file *os.File) error { return file.Sync() }

// Child is for a process that is to end by its id alone: a Ctrl-C at the
// terminal is not for it.
func Child() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
