package supervise

import (
	"os/exec"
	"runtime"
)

// spawner starts all processes from one thread that lives as long as it does.
// The kernel ties a child's life to the thread that started it, not to the
// process, and the Go runtime ends threads as it likes unless they are locked.
type spawner struct {
	work chan func()
}

func newSpawner() *spawner {
	s := &spawner{work: make(chan func())}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the spawner
		for start := range s.work {
			start()
		}
	}()
	return s
}

func (s *spawner) start(cmd *exec.Cmd) error {
	started := make(chan error)
	s.work <- func() { started <- cmd.Start() }
	return <-started
}

// close ends the thread, and with it every child that still lives.
func (s *spawner) close() { close(s.work) }
