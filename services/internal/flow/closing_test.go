package flow_test

import (
	"strings"
	"testing"
	"time"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// An epoch closes with what the tables held at its marker, although the next one
// goes on at once.
func TestAnEpochClosesWithItsContent(t *testing.T) {
	inBubble(t, func(w *world) {
		w.set(flows.RealTime)
		w.start()
		w.quiet()
		for i := range 10 {
			w.produce(name("r", i%3))
		}
		w.quiet()
		want, err := seen.Content(w.t.Context(), w.db)
		if err != nil {
			w.t.Fatal(err)
		}
		w.set(flows.Hourly)
		for i := range 10 {
			w.produce(name("r", i%3))
		}
		w.set(flows.RealTime)
		w.quiet()
		wantCount(w, 20, "in the end")
		closed := epochClosed(w, 2)
		if closed.GetContentDigest() != want.Digest.String() || closed.GetContentRows() != want.Rows || closed.GetContentVersion() != 1 {
			w.t.Errorf("epoch 2 closed with %v, want the content %v", closed, want)
		}
		whole, err := seen.Content(w.t.Context(), w.db)
		if err != nil {
			w.t.Fatal(err)
		}
		if closed := epochClosed(w, 3); closed.GetContentDigest() != whole.Digest.String() || closed.GetContentRows() != 20 {
			w.t.Errorf("epoch 3 closed with %v, want the content %v", closed, whole)
		}
	})
}

// A process that dies before it has told the end of an epoch leaves a row. Whoever
// comes next reads the tables when they have not moved on, and otherwise says that
// nobody knows what they were.
func TestAnEpochThatWasNotToldIsToldByTheNextProcess(t *testing.T) {
	for name, tc := range map[string]struct {
		moved bool
		want  string
	}{
		"the tables are as they were": {false, " content digest "},
		"the tables have moved on":    {true, "content not known: the process ended before it could read the tables, and they have moved on"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				w.set(flows.RealTime)
				w.start()
				w.produce("r")
				w.quiet()
				shift := 0
				if tc.moved {
					shift = 1
				}
				err := w.db.Update(w.t.Context(), func(tx *projection.Tx) error {
					_, err := tx.Exec(w.t.Context(), `INSERT INTO flow_closing (flow, epoch, commit_position, prepare_position, taken, digest, parked)
						SELECT flow, 17, commit_position - ?, prepare_position, 5, digest, 0 FROM flow_checkpoint WHERE flow = ?`, shift, tested)
					return err
				})
				if err != nil {
					w.t.Fatal(err)
				}
				w.stop()
				w.start()
				w.pass(2 * time.Second)
				var told []string
				for _, line := range w.history() {
					if strings.HasPrefix(line, "epoch 17 closed: 5 events") {
						told = append(told, line)
					}
				}
				if len(told) != 1 || !strings.Contains(told[0], tc.want) {
					w.t.Errorf("told %q, want one line with %q", told, tc.want)
				}
			})
		})
	}
}

func epochClosed(w *world, epoch uint64) *flowv1.EpochClosed {
	w.t.Helper()
	entries, err := w.flows.History(w.t.Context(), tested)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		if closed, ok := e.Event.(*flowv1.EpochClosed); ok && closed.GetEpoch() == epoch {
			return closed
		}
	}
	w.t.Fatalf("epoch %d is not told to have closed: %q", epoch, w.history())
	return nil
}
