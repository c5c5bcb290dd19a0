package outbound

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
)

// Folder is a Carrier that leaves each letter as a file in a folder, for whoever
// prints or mails it and takes it away. A file is there whole or not at all:
//
//	.<message>.part  is written, and on the disk
//	(on record: it may arrive)
//	<message>.<kind> is its name from then on
//
// So the folder itself tells what came of a letter when the process ended: as long
// as it has its first name nobody has seen it.
type Folder struct {
	dir, kind string
	write     func(Letter) ([]byte, error)
}

// PrintFolder is a folder of letters to print, in JSON.
func PrintFolder(dir string) (*Folder, error) {
	return openFolder(dir, "json", func(l Letter) ([]byte, error) {
		page, err := json.MarshalIndent(struct {
			MessageID string `json:"message_id"`
			Name      string `json:"name"`
			Address   string `json:"address"`
			Content   string `json:"content"`
		}{l.MessageID, l.Name, l.Address, l.Content}, "", "  ")
		return append(page, '\n'), err
	})
}

// MailFolder is a folder of e-mails, as a mail server would get them.
func MailFolder(dir, from string) (*Folder, error) {
	return openFolder(dir, "eml", func(l Letter) ([]byte, error) {
		return written(l, from)
	})
}

// openFolder makes the folder where it is not there, and sees whether files can be
// written to it: better when the service starts than when a letter goes out.
func openFolder(dir, kind string, write func(Letter) ([]byte, error)) (*Folder, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return nil, err
	}
	return &Folder{dir: dir, kind: kind, write: write}, nil
}

// Carry leaves a letter in the folder.
func (f *Folder) Carry(_ context.Context, letter Letter, begin func() error) error {
	content, err := f.write(letter)
	if err != nil {
		return err
	}
	part, file := f.names(letter.MessageID)
	if err := writeSynced(part, content); err != nil {
		return fmt.Errorf("write a letter: %w", err)
	}
	if err := f.sync(); err != nil {
		return err
	}
	if err := begin(); err != nil {
		if _, never := errors.AsType[TurnedAwayError](err); never && os.Remove(part) != nil {
			return PostponedError{"the letter is not to leave, and its draft can't be taken out of the folder"}
		}
		return err // and the part, where there is one, tells that the letter has not left
	}
	if err := os.Rename(part, file); err != nil {
		return PostponedError{"the letter can't be put into its folder"}
	}
	return f.sync()
}

// Ask looks for a letter. One that is there under neither name was taken away, or
// the folder is another one.
func (f *Folder) Ask(_ context.Context, messageID string) (Fate, error) {
	part, file := f.names(messageID)
	for _, at := range []struct {
		name string
		fate Fate
	}{
		{file, Fate{State: channelv1.MessageState_MESSAGE_STATE_SENT}},
		{part, Fate{channelv1.MessageState_MESSAGE_STATE_ACCEPTED, interrupted}},
	} {
		_, err := os.Lstat(at.name)
		if err == nil {
			return at.fate, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return Fate{}, fmt.Errorf("look for a letter: %w", err)
		}
	}
	return Fate{channelv1.MessageState_MESSAGE_STATE_UNKNOWN, interrupted}, nil
}

func (f *Folder) names(messageID string) (part, file string) {
	name := nameOf(messageID)
	return filepath.Join(f.dir, "."+name+".part"), filepath.Join(f.dir, name+"."+f.kind)
}

func writeSynced(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// sync puts the names of the folder's files on the disk.
func (f *Folder) sync() error {
	dir, err := os.Open(f.dir)
	if err != nil {
		return fmt.Errorf("open the folder of letters: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("sync the folder of letters: %w", err)
	}
	return nil
}
