package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/triangle-suite/triangle/services/internal/postgres"
)

// Address is a host and port to listen on. An empty host means every interface;
// port 0 means any port that is free.
type Address string

var hostname = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

// Check says what is wrong with the address.
func (a Address) Check() error {
	wrong := fmt.Errorf("is %q: write host:port, such as 127.0.0.1:8081", string(a))
	host, port, err := net.SplitHostPort(string(a))
	if err != nil {
		return wrong
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && !hostname.MatchString(host) {
		return wrong
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("is %q: write a port from 0 to 65535, such as 127.0.0.1:8081", string(a))
	}
	return nil
}

func (a Address) anyPort() bool { return strings.HasSuffix(string(a), ":0") }

// StoreURL is a connection string of the event store. It may hold a password:
// only the conversion string(s) gives it whole, and whatever is printed, logged
// or marshalled shows it without.
type StoreURL string

// Check says what is wrong with the connection string.
func (s StoreURL) Check() error {
	const write = "write esdb://host:2113?tls=false for one node, or esdb+discover://host:2113 for a cluster"
	u, err := url.Parse(string(s))
	if err != nil || u.Host == "" {
		return errors.New("is not a connection string: " + write)
	}
	if u.Scheme != "esdb" && u.Scheme != "esdb+discover" {
		return fmt.Errorf("begins with %q: %s", u.Scheme+"://", write)
	}
	return nil
}

// String shows the connection string without its password.
func (s StoreURL) String() string { return redacted(string(s)) }

// MarshalText shows the connection string without its password.
func (s StoreURL) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// URL is an http or https URL of a partner; empty means that there is none. It
// may hold a password: only the conversion string(u) gives it whole.
type URL string

// Check says what is wrong with the URL.
func (u URL) Check() error {
	if u == "" {
		return nil
	}
	parsed, err := url.Parse(string(u))
	if err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
		return errors.New("is not a URL: write http://host:port or https://host:port")
	}
	return nil
}

// String shows the URL without its password.
func (u URL) String() string { return redacted(string(u)) }

// MarshalText shows the URL without its password.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

func redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "(not a URL)"
	}
	return u.Redacted()
}

// Database names an SQLite file, or a PostgreSQL database by its URL. That may
// hold a password: only the conversion string(d) gives it whole.
type Database string

// IsServer tells whether it is a database on a server, which holds a schema for
// each service and one for the key ring.
func (d Database) IsServer() bool { return postgres.IsURL(string(d)) }

// String shows the database without a password.
func (d Database) String() string {
	if d.IsServer() {
		return redacted(string(d))
	}
	return string(d)
}

// MarshalText shows the database without a password.
func (d Database) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Check says what is wrong with the name. An SQLite file need not be there; the
// folder that it is in must be. Nobody is connected to yet.
func (d Database) Check() error {
	const write = "write the path of an SQLite file, such as ./service.db, or postgres://user:password@host:5432/database"
	if d == "" {
		return errors.New("is empty: " + write)
	}
	if d.IsServer() {
		return postgres.Check(string(d))
	}
	if scheme, _, ok := strings.Cut(string(d), "://"); ok {
		return fmt.Errorf("begins with %q: %s", scheme+"://", write)
	}
	if info, err := os.Stat(string(d)); err == nil && info.IsDir() {
		return fmt.Errorf("is the folder %s: write the path of a file in it", string(d))
	}
	folder := filepath.Dir(string(d))
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("is %s, but there is no folder %s: make it, or write another path", string(d), folder)
	case err != nil:
		return fmt.Errorf("is %s, whose folder can't be looked at: %w", string(d), err)
	case !info.IsDir():
		return fmt.Errorf("is %s, but %s is no folder: write another path", string(d), folder)
	}
	return nil
}

// Level is the least that is logged.
type Level string

// Check says what is wrong with the level.
func (l Level) Check() error {
	switch strings.ToLower(string(l)) {
	case "debug", "info", "warn", "error":
		return nil
	}
	return fmt.Errorf("is %q: write debug, info, warn or error", string(l))
}

// Slog returns the level for the logger; info where it is no level.
func (l Level) Slog() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l)); err != nil {
		return slog.LevelInfo
	}
	return level
}
