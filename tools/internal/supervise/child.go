package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// stableAfter is how long a child has to live to count as healthy: its next
// death is then its first again.
const stableAfter = 30 * time.Second

// probePause is how often a child is asked whether it is ready.
const probePause = 25 * time.Millisecond

// logTail is how much of a child's log is shown when it did not start.
const logTail = 2 << 10

// child is one process that is kept running. Its fields belong to the goroutine
// that runs keep.
type child struct {
	spec    Spec
	options Options
	spawner *spawner

	stop    chan struct{} // closed when it is to stop
	stopped chan struct{} // closed when it has
}

// life is one run of a child's process.
type life struct {
	cmd   *exec.Cmd
	log   int64         // where its own lines begin in the log
	ended chan struct{} // closed when the process has ended and err holds
	err   error
	began time.Time
}

// first starts the process and waits until it is ready.
func (c *child) first(ctx context.Context) (*life, error) {
	for _, addr := range c.spec.Listens {
		if err := portFree(ctx, addr); err != nil {
			return nil, err
		}
	}
	l, err := c.start()
	if err != nil {
		return nil, err
	}
	if err := c.ready(ctx, l); err != nil {
		c.end(l)
		return nil, err
	}
	return l, nil
}

func portFree(ctx context.Context, addr string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s %w", addr, ErrPortInUse)
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	return listener.Close()
}

func (c *child) start() (*life, error) {
	log, err := os.OpenFile(c.spec.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	defer func() { _ = log.Close() }() // the child has a handle of its own
	info, err := log.Stat()
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	cmd := exec.Command(c.spec.Path, c.spec.Args...) //nolint:noctx // it is stopped by signals, in good order
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = c.spec.Env, log, log, attributes()
	if err := c.spawner.start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.spec.Path, err)
	}
	l := &life{cmd: cmd, log: info.Size(), ended: make(chan struct{}), began: time.Now()}
	go func() {
		l.err = cmd.Wait()
		close(l.ended)
	}()
	c.options.Started(c.spec.Name, cmd.Process.Pid)
	return l, nil
}

// ready waits until the child answers its probe with yes. Each answer that it has
// not given before shows that it gets on: read models may be rebuilt meanwhile.
func (c *child) ready(ctx context.Context, l *life) error {
	if c.spec.Ready == "" {
		return nil
	}
	patience := time.NewTimer(c.options.StartTimeout)
	defer patience.Stop()
	heard := hearing{given: map[string]bool{}}
	last := errors.New("not asked yet")
	for {
		var why error
		select {
		case <-l.ended:
			return fmt.Errorf("%w (%s); the end of %s reads:\n%s", ErrEnded, l.outcome(), c.spec.Log, c.lastLines(l))
		case <-ctx.Done():
			why = context.Cause(ctx)
		case <-patience.C:
			why = ErrNotReady
		case <-time.After(probePause):
		}
		if why != nil {
			//nolint:errorlint // what the last probe got is only told
			return fmt.Errorf("%w; %s: %v; see %s", why, c.spec.Ready, last, c.spec.Log)
		}
		if last = probe(ctx, c.spec.Ready); last == nil {
			return nil
		}
		if answer, ok := errors.AsType[*notReady](last); ok {
			line, isNew := heard.note(answer, time.Now())
			if isNew {
				patience.Reset(c.options.StartTimeout)
			}
			if line != "" {
				c.options.Say(c.spec.Name + " is not ready yet: " + line)
			}
		}
	}
}

// keep holds the child running until it is to stop.
func (c *child) keep(l *life) {
	defer close(c.stopped)
	pause := c.options.FirstPause
	for {
		select {
		case <-c.stop:
			c.end(l)
			return
		case <-l.ended:
		}
		if time.Since(l.began) > stableAfter {
			pause = c.options.FirstPause
		}
		next, err := c.again(l, pause)
		if next == nil && err == nil {
			return
		}
		pause = min(2*pause, c.options.LongestPause)
		if err != nil {
			c.options.Say(fmt.Sprintf("%s can't be started again: %v", c.spec.Name, err))
			continue // l has ended still
		}
		l = next
	}
}

// again starts the process once more, after a pause; it returns nothing when the
// child is to stop meanwhile.
func (c *child) again(dead *life, pause time.Duration) (*life, error) {
	c.options.Say(fmt.Sprintf("%s ended (%s); it is started again, its log is %s", c.spec.Name, dead.outcome(), c.spec.Log))
	select {
	case <-c.stop:
		return nil, nil //nolint:nilnil // told above
	case <-time.After(pause):
		return c.start()
	}
}

// end stops the process: with SIGTERM, and with SIGKILL when its time is up.
func (c *child) end(l *life) {
	// Both fail when the process has ended already, which is what is wanted.
	_ = l.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-l.ended:
	case <-time.After(c.options.StopTimeout):
		c.options.Say(fmt.Sprintf("%s did not stop within %s; it is killed", c.spec.Name, c.options.StopTimeout))
		_ = l.cmd.Process.Kill()
		<-l.ended
	}
}

// outcome tells how the process ended.
func (l *life) outcome() string {
	if l.err == nil {
		return "exit status 0"
	}
	return l.err.Error()
}

// lastLines returns the end of what this life wrote to the log.
func (c *child) lastLines(l *life) string {
	text, err := tail(c.spec.Log, l.log)
	if err != nil {
		return fmt.Sprintf("  (the log can't be read: %v)", err)
	}
	if text == "" {
		return "  (nothing)"
	}
	return "  " + strings.ReplaceAll(text, "\n", "\n  ")
}

func tail(path string, from int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	start := max(from, end-logTail)
	text := make([]byte, end-start)
	if _, err := f.ReadAt(text, start); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if start > from { // begin with a whole line
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return string(bytes.TrimSpace(text)), nil
}
