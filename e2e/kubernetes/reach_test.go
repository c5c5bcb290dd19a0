package kubernetes

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"syscall"
)

var forwarding = regexp.MustCompile(`Forwarding from (127\.0\.0\.1:\d+)`)

// forwarded is a Service that is reachable from here.
type forwarded struct {
	address string
	process *exec.Cmd
	ended   chan struct{}
}

var ports = map[string]string{"channel": "8081", "sales": "8082", "marketing": "8083", "event-store": "2113"}

// at is where a component is reachable from here: as long as its pod lives.
func (w *world) at(component string) string {
	w.Helper()
	if f := w.reachable[component]; f != nil {
		select {
		case <-f.ended:
		default:
			return f.address
		}
	}
	w.until(component+" is reachable", func() bool {
		w.lost(component)
		f, err := w.forward("triangle-"+component, ports[component])
		if err == nil {
			w.reachable[component] = f
		}
		return err == nil
	})
	return w.reachable[component].address
}

// lost is that a component is not reachable where it was.
func (w *world) lost(component string) {
	if f := w.reachable[component]; f != nil {
		f.end()
		delete(w.reachable, component)
	}
}

// end ends it, unless it has ended with its pod.
func (f *forwarded) end() {
	_ = f.process.Process.Signal(syscall.SIGTERM)
	<-f.ended
}

func (w *world) forward(service, port string) (*forwarded, error) {
	cmd, err := the.cluster.KubectlCommand(context.Background(), "--namespace", w.namespace, "port-forward", "service/"+service, ":"+port)
	if err != nil {
		return nil, err
	}
	var complained bytes.Buffer
	cmd.Stderr = &complained
	told, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	f := &forwarded{process: cmd, ended: make(chan struct{})}
	lines := bufio.NewScanner(told)
	for f.address == "" && lines.Scan() {
		if at := forwarding.FindStringSubmatch(lines.Text()); at != nil {
			f.address = at[1]
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, told)
		_ = cmd.Wait() // it ends with its pod, or as it is told to
		close(f.ended)
	}()
	if f.address == "" {
		<-f.ended
		return nil, fmt.Errorf("%s is not reachable: %s", service, complained.String())
	}
	return f, nil
}
