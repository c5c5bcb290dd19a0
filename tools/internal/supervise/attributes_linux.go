package supervise

import "syscall"

// attributes puts a child in a process group of its own, so that Ctrl-C reaches
// the command alone, which then stops the children in good order; and lets the
// kernel end the child when the thread that started it ends.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
