package peer

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/machine"
)

// rawLogSize is what a RawLog writes to, again and again.
const rawLogSize = 64 << 20

// RawLog is the least that a durable log can be: payloads one after another in
// a file, one sync for all who wait. The file has its full size and was written
// before, so that a sync has no metadata to write; at its end the log begins
// anew. It can't be read: it is a floor to measure from.
type RawLog struct {
	file  *os.File
	at    int64
	queue chan *rawAppend
	ended chan struct{}
	once  sync.Once
}

type rawAppend struct {
	payload []byte
	done    chan error
}

// OpenRawLog makes a raw log in folder dir.
func OpenRawLog(dir string) (*RawLog, error) {
	file, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, fmt.Errorf("make the raw log: %w", err)
	}
	zeroes := make([]byte, 1<<20)
	for at := int64(0); at < rawLogSize && err == nil; at += int64(len(zeroes)) {
		_, err = file.WriteAt(zeroes, at)
	}
	if err == nil {
		err = file.Sync()
	}
	if err != nil {
		_ = file.Close() // the first error tells more
		return nil, fmt.Errorf("make the raw log: %w", err)
	}
	l := &RawLog{file: file, queue: make(chan *rawAppend, 1024), ended: make(chan struct{})}
	go l.run()
	return l, nil
}

// Append returns when payload is on the disk.
func (l *RawLog) Append(payload []byte) error {
	one := &rawAppend{payload: payload, done: make(chan error, 1)}
	l.queue <- one
	return <-one.done
}

func (l *RawLog) run() {
	defer close(l.ended)
	var group []*rawAppend
	var bytes []byte
	for first := range l.queue {
		group = append(group[:0], first)
		runtime.Gosched() // those who were answered just now are about to come back
		for len(l.queue) > 0 {
			group = append(group, <-l.queue)
		}
		bytes = bytes[:0]
		for _, one := range group {
			bytes = append(bytes, one.payload...)
		}
		err := l.write(bytes)
		for _, one := range group {
			one.done <- err
		}
	}
}

func (l *RawLog) write(bytes []byte) error {
	if l.at+int64(len(bytes)) > rawLogSize {
		l.at = 0
	}
	if _, err := l.file.WriteAt(bytes, l.at); err != nil {
		return fmt.Errorf("write the raw log: %w", err)
	}
	l.at += int64(len(bytes))
	return machine.SyncData(l.file)
}

// Close ends the log. Nobody may append any more.
func (l *RawLog) Close() error {
	l.once.Do(func() { close(l.queue) })
	<-l.ended
	return l.file.Close()
}
