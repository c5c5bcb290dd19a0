package backoffice

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// entry is one line of the journal. It holds nothing that a customer wrote.
type entry struct {
	Key       string `json:"key"`
	RequestID string `json:"request_id"`
	Kind      string `json:"kind"`
	Answer
}

// journal keeps what was taken in, in memory and, where it has a file, on disk
// before it is answered.
type journal struct {
	mu        sync.Mutex
	file      *os.File // nil: in memory only
	byKey     map[string]entry
	byRequest map[string]entry
}

func openJournal(path string) (*journal, error) {
	j := &journal{byKey: map[string]entry{}, byRequest: map[string]entry{}}
	if path == "" {
		return j, nil
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := j.replay(file); err != nil {
		return nil, errors.Join(fmt.Errorf("read the journal %s: %w", path, err), file.Close())
	}
	j.file = file
	return j, nil
}

// replay reads the file, and cuts off a last line that was not finished: nobody
// has had its answer.
func (j *journal) replay(file *os.File) error {
	reader := bufio.NewReader(file)
	var whole int64
	for {
		text, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		var e entry
		if err := json.Unmarshal(bytes.TrimSpace(text), &e); err != nil {
			return fmt.Errorf("at byte %d: %w", whole, err)
		}
		j.remember(e)
		whole += int64(len(text))
	}
	if err := file.Truncate(whole); err != nil {
		return err
	}
	_, err := file.Seek(whole, io.SeekStart)
	return err
}

func (j *journal) remember(e entry) {
	j.byKey[e.Key] = e
	j.byRequest[e.RequestID] = e
}

// record keeps e, unless its key is known: then it returns what was kept first.
func (j *journal) record(e entry) (kept entry, isNew bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if first, ok := j.byKey[e.Key]; ok {
		return first, false, nil
	}
	if err := j.write(e); err != nil {
		return entry{}, false, err
	}
	j.remember(e)
	return e, true, nil
}

func (j *journal) write(e entry) error {
	if j.file == nil {
		return nil
	}
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = j.file.Write(append(text, '\n'))
	return err
}

func (j *journal) ofRequest(id string) (entry, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e, ok := j.byRequest[id]
	return e, ok
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}
