package supervise

import (
	"errors"
	"time"
)

// Spec says how a child is run.
type Spec struct {
	// Name is what messages call it.
	Name string
	// Path is the program, Args its arguments.
	Path string
	Args []string
	// Env is its whole environment.
	Env []string
	// Log is the file that its output is appended to.
	Log string
	// Listens are the addresses that it listens on, which must be free before it
	// is started the first time.
	Listens []string
	// Ready is a URL that answers 200 once it serves; empty: it is ready at once.
	Ready string
}

// Options changes how children are run. Zero values stand for the defaults.
type Options struct {
	// StartTimeout bounds how long a child that is not ready may answer its probe
	// with nothing new: 60 s.
	StartTimeout time.Duration
	// StopTimeout bounds how long it may take to stop: 15 s.
	StopTimeout time.Duration
	// FirstPause and LongestPause bound the pause before a child that died is
	// started again: 100 ms and 10 s.
	FirstPause, LongestPause time.Duration
	// Say is told, in one line each, what a reader of the terminal should know.
	Say func(line string)
	// Started is told the process id of each child that has started, again too.
	Started func(name string, pid int)
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	set(&o.StartTimeout, time.Minute)
	set(&o.StopTimeout, 15*time.Second)
	set(&o.FirstPause, 100*time.Millisecond)
	set(&o.LongestPause, 10*time.Second)
	if o.Say == nil {
		o.Say = func(string) {}
	}
	if o.Started == nil {
		o.Started = func(string, int) {}
	}
	return o
}

// Why a child did not start, tested with errors.Is.
var (
	// ErrPortInUse says that somebody else listens where a child should.
	ErrPortInUse = errors.New("is in use: stop what listens there, or take free ports with --ports auto")
	// ErrEnded says that a child ended before it was ready.
	ErrEnded = errors.New("ended before it was ready")
	// ErrNotReady says that a child did not get ready in time.
	ErrNotReady = errors.New("did not get ready in time")
)
