package pgtest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
)

// usualPort is what a server's socket is called by that listens on no network.
const usualPort = 5432

// network is where else a server listens: for whom, who knows which password. The
// zero network is none.
type network struct {
	address  string
	from     string // a range, as 10.0.0.0/8
	port     int
	password string
}

// StartOn is Start, of a server that also listens at an address, for callers from a
// range such as 10.0.0.0/8 who know the password that NetworkURL holds.
func StartOn(ctx context.Context, address, from string) (*Server, error) {
	if _, _, err := net.ParseCIDR(from); err != nil {
		return nil, fmt.Errorf("whom PostgreSQL listens to: %w", err)
	}
	port, err := freePort(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("find a port for PostgreSQL: %w", err)
	}
	return start(ctx, network{address: address, from: from, port: port, password: rand.Text()})
}

func freePort(ctx context.Context, address string) (port int, err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		return 0, err
	}
	_, text, err := net.SplitHostPort(l.Addr().String())
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	return port, errors.Join(err, l.Close())
}

// admit has the server of a data folder admit who calls from the range.
func (n *network) admit(data string) (err error) {
	n.port = cmp.Or(n.port, usualPort)
	if n.address == "" {
		return nil
	}
	file, err := os.OpenFile(filepath.Join(data, "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("admit callers: %w", err)
	}
	_, err = fmt.Fprintf(file, "host all %s %s scram-sha-256\n", administrator, n.from)
	return errors.Join(err, file.Close())
}

func (s *Server) setPassword() error {
	if s.net.password == "" {
		return nil
	}
	return s.Exec("ALTER USER " + administrator + " PASSWORD '" + s.net.password + "'")
}

// NetworkURL leads to a database of a server that StartOn has started, by the
// network.
func (s *Server) NetworkURL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(administrator, s.net.password),
		Host: net.JoinHostPort(s.net.address, strconv.Itoa(s.net.port)), Path: "/" + database,
	}
	u.RawQuery = url.Values{"sslmode": {"disable"}}.Encode()
	return u.String()
}
