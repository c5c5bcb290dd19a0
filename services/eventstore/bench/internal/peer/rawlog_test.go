package peer

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What is appended is in the file, in order, without making it longer; at its
// end the log begins anew.
func TestRawLogFillsItsFileAgainAndAgain(t *testing.T) {
	dir := t.TempDir()
	log, err := OpenRawLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	var payloads [][]byte
	for _, letter := range "abc" { // the third has no room
		payload := bytes.Repeat([]byte(string(letter)), rawLogSize*2/5)
		payloads = append(payloads, payload)
		if err := log.Append(payload); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	if want := append(payloads[2], payloads[1]...); len(file) != rawLogSize || !bytes.HasPrefix(file, want) {
		t.Errorf("the file of %d bytes doesn't hold the third payload, then the second", len(file))
	}
}
