package users

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/crypto/bcrypt"
)

const (
	// MaxPassword is how many bytes of a password bcrypt looks at.
	MaxPassword = 72
	// hashCost is the cost of new hashes: tens of milliseconds a check.
	hashCost = bcrypt.DefaultCost
	// maxCost bounds the hashes of a file: beyond it a check takes seconds, and
	// a few callers could keep all others waiting.
	maxCost = 15
)

// bcryptHash is the form of a hash: version, cost, salt and sum.
var bcryptHash = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

// ErrInvalid says that a name, a password or a file of users can't be used;
// the error that wraps it says why.
var ErrInvalid = errors.New("invalid")

// Load reads a file of users: a line "name:hash" each, as htpasswd -B writes
// them. Blank lines and lines that begin with # say nothing.
func Load(path string) (*Users, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return parse(f, path)
}

// parse reads the lines of a file that is called path in errors. Errors don't
// quote what they complain of, which may be somebody's password.
func parse(r io.Reader, path string) (*Users, error) {
	var all []*user
	lineOf := map[string]int{}
	lines := bufio.NewScanner(r)
	number := 0
	for lines.Scan() {
		number++
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		one, err := parseLine(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, number, err)
		}
		if first := lineOf[one.name]; first != 0 {
			return nil, fmt.Errorf("%s:%d: %w: user %q has a line already, which is line %d", path, number, ErrInvalid, one.name, first)
		}
		lineOf[one.name] = number
		all = append(all, one)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", path, number+1, err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: %w: it holds no user, so nobody could call the store; add lines with event-store hash-password NAME", path, ErrInvalid)
	}
	return newUsers(all)
}

func parseLine(text string) (*user, error) {
	name, hash, ok := strings.Cut(text, ":")
	if !ok {
		return nil, fmt.Errorf(`%w: the line is not of the form "name:hash"`, ErrInvalid)
	}
	if err := CheckName(name); err != nil {
		return nil, err
	}
	if !bcryptHash.MatchString(hash) {
		return nil, fmt.Errorf(`%w: what follows %q is no bcrypt hash ("$2y$...", 60 characters); make one with event-store hash-password %s`, ErrInvalid, name+":", name)
	}
	cost, err := bcrypt.Cost([]byte(hash))
	if err != nil {
		return nil, fmt.Errorf("%w: the hash of %q: %w", ErrInvalid, name, err)
	}
	if cost > maxCost {
		return nil, fmt.Errorf("%w: the hash of %q has cost %d, and a check would take seconds; make one of at most %d", ErrInvalid, name, cost, maxCost)
	}
	return &user{name: name, hash: []byte(hash)}, nil
}

// CheckName returns why nobody can have this name, nil when one can.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: a user's name is empty", ErrInvalid)
	case strings.HasPrefix(name, "#"), strings.Contains(name, ":"), strings.TrimSpace(name) != name:
		return fmt.Errorf("%w: user name %q: it has a colon, begins with # or has spaces around it, which a file of users can't say", ErrInvalid, name)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%w: user name %q: it has a control character", ErrInvalid, name)
	}
	return nil
}

// Hash returns the bcrypt hash of a password.
func Hash(password string) (string, error) {
	if password == "" {
		return "", fmt.Errorf("%w: the password is empty", ErrInvalid)
	}
	if len(password) > MaxPassword {
		return "", fmt.Errorf("%w: the password has %d bytes, and bcrypt looks at no more than %d", ErrInvalid, len(password), MaxPassword)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), hashCost)
	if err != nil {
		return "", fmt.Errorf("hash the password: %w", err)
	}
	return string(hash), nil
}
