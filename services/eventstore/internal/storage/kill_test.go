package storage

import (
	"bufio"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/stream"
)

var kills = flag.Uint64("kills", sample(450, 20), "how often to kill a process that writes")

const (
	asVictim     = "EVENT_STORE_VICTIM" // the folder that this process writes to until it is killed
	killWriters  = 4
	killCommand  = 3 // events of a command
	killAcks     = 60
	killFullRead = 50 // cycles between two reads of everything
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(asVictim); dir != "" {
		if err := victim(dir, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// idOf is the id of the event at a revision of a writer's stream: whoever reads
// it knows what must be there.
func idOf(writer int, revision int64) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceOID, binary.BigEndian.AppendUint64([]byte{byte(writer)}, uint64(revision)))
}

func killOptions() Options {
	return Options{memTable: 16 << 10, firstChunk: 16 << 10, maxChunk: 128 << 10}
}

// victim appends to a store until it is killed. It tells in a line where each
// stream ends, first, and then each append once it is acknowledged.
func victim(dir string, out io.Writer) error {
	store, err := Open(dir, killOptions())
	if err != nil {
		return err
	}
	view, err := store.View()
	if err != nil {
		return err
	}
	errs := make(chan error)
	var telling sync.Mutex
	tell := func(writer int, last int64) error {
		telling.Lock()
		defer telling.Unlock()
		_, err := fmt.Fprintf(out, "%d %d\n", writer, last)
		return err
	}
	for i := range killWriters {
		state, err := view.State(fmt.Sprintf("w%d", i))
		if err == nil {
			err = tell(i, state.Last)
		}
		if err != nil {
			return err
		}
		go func() {
			for last := state.Last; ; last += killCommand {
				events := make([]NewEvent, killCommand)
				for k := range events {
					id := idOf(i, last+1+int64(k))
					events[k] = NewEvent{ID: id, Type: "x", Data: make([]byte, int(id[0])*4)}
				}
				_, err := store.Append(context.Background(), fmt.Sprintf("w%d", i), stream.Expected(last), events)
				if err == nil {
					err = tell(i, last+killCommand)
				}
				if err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	view.Release()
	return <-errs
}

// killed is a folder, and what was acknowledged by the processes that wrote to
// it.
type killed struct {
	dir  string
	last [killWriters]int64
	acks int
}

// cycle runs a process until it has acknowledged enough, or for some time when
// that is not 0, and kills it.
func (k *killed) cycle(enough int, after time.Duration) error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	command := exec.Command(executable)
	command.Env = append(os.Environ(), asVictim+"="+k.dir)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	if after > 0 {
		kill := time.AfterFunc(after, func() { _ = command.Process.Kill() }) // it may have been killed, which Wait tells
		defer kill.Stop()
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if err := k.hear(lines.Text(), n < killWriters); err != nil {
			_ = command.Process.Kill()
			return err
		}
		if n == killWriters+enough {
			_ = command.Process.Kill() // see above
		}
	}
	if err := command.Wait(); err == nil || command.ProcessState.ExitCode() != -1 {
		return fmt.Errorf("the process ended by itself: %w", err)
	}
	return nil
}

// hear takes in a line of the process.
func (k *killed) hear(line string, opened bool) error {
	var writer int
	var last int64
	if _, err := fmt.Sscanf(line, "%d %d", &writer, &last); err != nil {
		return fmt.Errorf("the process said %q: %w", line, err)
	}
	if opened && last < k.last[writer] {
		return fmt.Errorf("w%d ends at revision %d, and %d was acknowledged", writer, last, k.last[writer])
	}
	if (last+1)%killCommand != 0 {
		return fmt.Errorf("w%d ends at revision %d: half of a command is there", writer, last)
	}
	if !opened {
		k.acks++
	}
	k.last[writer] = last
	return nil
}

// check reads everything: all that was acknowledged, in order and once.
func (k *killed) check() error {
	store, err := Open(k.dir, killOptions())
	if err != nil {
		return err
	}
	view, err := store.View()
	if err != nil {
		return err
	}
	streams := 0
	for i := range killWriters {
		events, err := readConsistent(view, fmt.Sprintf("w%d", i))
		if err != nil {
			return err
		}
		if int64(len(events)) <= k.last[i] || len(events)%killCommand != 0 {
			return fmt.Errorf("w%d: %d events are there, and revision %d was acknowledged", i, len(events), k.last[i])
		}
		for revision, e := range events {
			if e.ID != idOf(i, int64(revision)) {
				return fmt.Errorf("w%d: revision %d is another event", i, revision)
			}
		}
		streams += len(events)
	}
	all := 0
	for _, err := range view.All(0, Forward) {
		if err != nil {
			return err
		}
		all++
	}
	view.Release()
	if all != streams {
		return fmt.Errorf("$all holds %d events, the streams %d", all, streams)
	}
	return store.Close()
}

func TestKilledProcessesLoseNothing(t *testing.T) {
	k := &killed{dir: t.TempDir()}
	for i := range k.last {
		k.last[i] = stream.None
	}
	for n := range *kills {
		rng := rand.New(rand.NewPCG(n, 4))
		after := time.Duration(0)
		if rng.IntN(4) == 0 { // most likely while it starts, or opens the store
			after = time.Duration(rng.IntN(40)) * time.Millisecond
		}
		if err := k.cycle(rng.IntN(killAcks), after); err != nil {
			t.Fatalf("kill %d: %v", n, err)
		}
		if n%killFullRead == 0 || n == *kills-1 {
			if err := k.check(); err != nil {
				t.Fatalf("after kill %d: %v", n, err)
			}
		}
	}
	t.Logf("%d kills, %d commands acknowledged", *kills, k.acks)
}
