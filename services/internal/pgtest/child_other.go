//go:build unix && !linux

package pgtest

import "syscall"

// child puts the server in a process group of its own, so that Ctrl-C reaches
// the tests alone.
func child() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
