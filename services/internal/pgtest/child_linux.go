package pgtest

import "syscall"

// child puts the server in a process group of its own, so that Ctrl-C reaches
// the tests alone. It is stopped immediately when the tests are killed.
func child() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
}
