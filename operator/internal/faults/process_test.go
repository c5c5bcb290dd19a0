package faults_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// process is a program that runs until the test ends, or it is killed.
type process struct {
	t     *testing.T
	name  string
	path  string
	args  []string
	env   []string
	log   string
	ready string // where it says that it is

	cmd   *exec.Cmd
	ended chan struct{}
	err   error // how it ended
}

// launch starts a program.
func (w *world) launch(name, path string, args []string, env ...string) *process {
	w.Helper()
	p := &process{t: w.T, name: name, path: path, args: args, env: env, log: filepath.Join(w.data, name+".log")}
	p.start()
	w.Cleanup(func() {
		p.thaw()
		p.signal(syscall.SIGTERM)
		<-p.ended
		if w.Failed() {
			p.tellEnd()
		}
	})
	return p
}

// start starts the process, or starts it again.
func (p *process) start() {
	p.t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	cmd, ended := exec.Command(p.path, p.args...), make(chan struct{})
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd, p.ended = cmd, ended
	go func() {
		p.err = cmd.Wait()
		_ = log.Close()
		close(ended)
	}()
}

// signal sends a signal; one that has ended does not hear it.
func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

func (p *process) freeze() { p.signal(syscall.SIGSTOP) }
func (p *process) thaw()   { p.signal(syscall.SIGCONT) }

// kill ends the process as a power cut would.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// stop ends it in good order.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if <-p.ended; p.err != nil {
		p.t.Errorf("%s ended with %v", p.name, p.err)
	}
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *process) isReady() bool {
	answer, err := http.Get("http://" + p.ready + "/readyz")
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// tellEnd prints the last lines of the log.
func (p *process) tellEnd() {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	p.t.Logf("the last that %s (%v) said:\n%s", p.name, p.err, strings.Join(lines[max(0, len(lines)-15):], "\n"))
}
