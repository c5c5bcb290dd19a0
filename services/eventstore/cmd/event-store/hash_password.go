package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/triangle-suite/triangle/services/eventstore/internal/users"
)

// hashPassword is the command that makes a line of a file of users.
type hashPassword struct {
	Name string `arg:"" optional:"" help:"The user's name: the whole line is printed, not the hash alone."`
}

// Run reads one line, the password, and prints its hash.
func (c *hashPassword) Run(s *surroundings) error {
	if c.Name != "" {
		if err := users.CheckName(c.Name); err != nil {
			return usageError{err}
		}
	}
	password, err := readPassword(s.stdin)
	if err != nil {
		return err
	}
	hash, err := users.Hash(password)
	if err != nil {
		return err
	}
	if c.Name != "" {
		hash = c.Name + ":" + hash
	}
	_, err = fmt.Fprintln(s.stdout, hash)
	return err
}

// readPassword returns the one line that there is, without its end.
func readPassword(from io.Reader) (string, error) {
	in := bufio.NewReader(io.LimitReader(from, 1<<10)) // more is no password
	line, err := in.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password from standard input: %w", err)
	}
	if _, err := in.ReadByte(); err == nil {
		return "", errors.New("read the password from standard input: there is more than one line")
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}
