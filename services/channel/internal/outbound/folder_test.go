package outbound

import (
	"errors"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
)

// files are what stands in a folder, those of our own included.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(content)
	}
	return all
}

func printFolder(t *testing.T) (*Folder, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "letters")
	f, err := PrintFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f, dir
}

func TestALetterIsAFileOnceHoweverOftenItIsWritten(t *testing.T) {
	f, dir := printFolder(t)
	l := Letter{MessageID: "m-1", Name: "Ada", Address: "12 High Street, 2000 Oldtown", Content: "Buy \"one\"", At: at}
	for range 2 {
		if err := f.Carry(t.Context(), l, func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"m-1.json": `{
  "message_id": "m-1",
  "name": "Ada",
  "address": "12 High Street, 2000 Oldtown",
  "content": "Buy \"one\""
}
`}
	if diff := cmp.Diff(want, files(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestAnEMailIsAFileAsAMailServerWouldGetIt(t *testing.T) {
	dir := t.TempDir()
	f, err := MailFolder(dir, "service@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Carry(t.Context(), letter(), func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(strings.NewReader(files(t, dir)["m-1.eml"]))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Header.Get("Message-ID") + m.Header.Get("Subject"); got != "<m-1@example.com>Koop een fiets" {
		t.Errorf("the mail is %v", m.Header)
	}
}

// The folder tells what came of a letter wherever the process ends.
func TestAFolderIsAskedWhatCameOfALetter(t *testing.T) {
	ended := errors.New("the process ended")
	for name, tc := range map[string]struct {
		begin error
		after func(dir string) error
		want  channelv1.MessageState
	}{
		"before it is on record that it leaves": {ended, nil, channelv1.MessageState_MESSAGE_STATE_ACCEPTED},
		"when it has left":                      {nil, nil, channelv1.MessageState_MESSAGE_STATE_SENT},
		"when it was taken away": {
			nil, func(dir string) error { return os.Remove(filepath.Join(dir, "m-1.json")) }, channelv1.MessageState_MESSAGE_STATE_UNKNOWN,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, dir := printFolder(t)
			if err := f.Carry(t.Context(), letter(), func() error {
				if _, there := files(t, dir)["m-1.json"]; there {
					t.Error("the letter was there before it was on record that it may be")
				}
				return tc.begin
			}); !errors.Is(err, tc.begin) {
				t.Fatal(err)
			}
			if tc.after != nil {
				if err := tc.after(dir); err != nil {
					t.Fatal(err)
				}
			}
			if fate, err := f.Ask(t.Context(), "m-1"); err != nil || fate.State != tc.want {
				t.Errorf("its fate is %v (%v), want %v", fate, err, tc.want)
			}
		})
	}
}

// An id that is none of our making names no file elsewhere, and none that hides.
func TestAMessageNamesAFileInItsFolderOnly(t *testing.T) {
	f, dir := printFolder(t)
	ids := []string{"../../etc/passwd", "..", ".hidden", "a/b", "a\x00b", "", strings.Repeat("x", 300), "é", "CON "}
	for _, id := range ids {
		if err := f.Carry(t.Context(), Letter{MessageID: id}, func() error { return nil }); err != nil {
			t.Fatalf("%q: %v", id, err)
		}
		if fate, err := f.Ask(t.Context(), id); err != nil || fate.State != channelv1.MessageState_MESSAGE_STATE_SENT {
			t.Errorf("%q: %v, %v", id, fate, err)
		}
	}
	if all := files(t, dir); len(all) != len(ids) {
		t.Errorf("%d files of %d letters", len(all), len(ids))
	}
	if beside, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(beside) != 1 {
		t.Errorf("beside the folder: %v, %v", beside, err)
	}
}

func TestAFolderThatCantBeWrittenToIsFoundAtTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "folder"), filepath.Join(t.TempDir(), "no", "such")} {
		if _, err := PrintFolder(dir); err == nil {
			t.Errorf("%s was opened", dir)
		}
	}
}

func TestALetterWaitsForAFolderThatIsAway(t *testing.T) {
	f, dir := printFolder(t)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	err := f.Carry(t.Context(), letter(), func() error { t.Error("it began"); return nil })
	if fate, _ := fateOf(err, false); err == nil || fate != (Fate{}) {
		t.Errorf("%v, %v", fate, err)
	}
}
