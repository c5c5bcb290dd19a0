package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	administrator = "triangle"
	// stopTimeout bounds how long a server may take to stop in order.
	stopTimeout = 20 * time.Second
)

// find returns the folder of PostgreSQL's programs, "" when it is not installed.
func find() string {
	var folders []string
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil { //nolint:noctx // it only prints
		folders = append(folders, strings.TrimSpace(string(out)))
	}
	folders = append(folders, filepath.SplitList(os.Getenv("PATH"))...)
	packaged, err := filepath.Glob("/usr/lib/postgresql/*/bin") // Debian's, of any version
	if err == nil {
		folders = append(folders, packaged...)
	}
	i := slices.IndexFunc(folders, func(folder string) bool { return has(folder, "postgres") && has(folder, "initdb") })
	if i < 0 {
		return ""
	}
	return folders[i]
}

func has(folder, program string) bool {
	info, err := os.Stat(filepath.Join(folder, program))
	return err == nil && info.Mode().IsRegular()
}

// Server is a PostgreSQL that listens on a socket in its own folder, and nowhere
// else unless it was told to. It does not wait for the disk: its data does not
// outlive the tests.
type Server struct {
	dir    string
	net    network
	attr   *syscall.SysProcAttr
	cmd    *exec.Cmd
	ended  chan struct{} // closed when err holds
	err    error
	output bytes.Buffer // to be read when it has ended
}

// Start starts a server in a folder for this occasion. It returns nothing when
// PostgreSQL is not installed.
func Start(ctx context.Context) (*Server, error) { return start(ctx, network{}) }

// start is Start, of a server that listens on a network, too.
func start(ctx context.Context, net network) (*Server, error) {
	bin := find()
	if bin == "" {
		return nil, nil //nolint:nilnil // told above
	}
	dir, err := os.MkdirTemp("", "pgtest-") // its path is short, as a socket's has to be
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	s := &Server{dir: dir, net: net, attr: child(), ended: make(chan struct{})}
	if err := s.start(ctx, bin); err != nil {
		return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w", err), s.Close())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, bin string) error {
	if err := s.giveAway(); err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	initdb := s.command(exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", administrator, "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync", "--no-locale", "-E", "UTF8"))
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	if err := s.net.admit(data); err != nil {
		return err
	}
	s.cmd = s.command(exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", s.dir, "-p", strconv.Itoa(s.net.port), //nolint:noctx // Close ends it in order
		"-c", "listen_addresses="+s.net.address, "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=400", "-c", "shared_buffers=32MB"))
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	started := make(chan error)
	go func() {
		// The kernel ties the server's life to the thread that starts it: this one
		// stays for as long.
		runtime.LockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			s.err = s.cmd.Wait()
			close(s.ended)
		}
	}()
	if err := <-started; err != nil {
		s.cmd = nil
		return err
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	return s.setPassword()
}

// giveAway gives the folder to a user without rights when this process runs as
// root, for whom PostgreSQL refuses to run.
func (s *Server) giveAway() error {
	if os.Geteuid() != 0 {
		return nil
	}
	var owner *user.User
	var err error
	for _, name := range []string{"postgres", "nobody"} {
		if owner, err = user.Lookup(name); err == nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("it does not run as root, and there is no other user: %w", err)
	}
	uid, err := strconv.ParseUint(owner.Uid, 10, 32)
	if err != nil {
		return fmt.Errorf("user id of %s: %w", owner.Username, err)
	}
	gid, err := strconv.ParseUint(owner.Gid, 10, 32)
	if err != nil {
		return fmt.Errorf("group id of %s: %w", owner.Username, err)
	}
	s.attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(s.dir, int(uid), int(gid))
}

// command has cmd run as the folder's owner, in it, and without settings of the
// environment.
func (s *Server) command(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr, cmd.Dir, cmd.Env = s.attr, s.dir, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	return cmd
}

// ready waits until it answers.
func (s *Server) ready(ctx context.Context) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.ended:
			return fmt.Errorf("it ended: %w: %s", s.err, bytes.TrimSpace(s.output.Bytes()))
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		case <-again.C:
		}
	}
}

// Close stops the server, in order or by force, and removes its folder.
func (s *Server) Close() error {
	return errors.Join(s.stop(), os.RemoveAll(s.dir))
}

func (s *Server) stop() error {
	if s.cmd == nil {
		return nil
	}
	select {
	case <-s.ended:
		return nil // ready has said why
	default:
	}
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil { // it ends its sessions
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	late := time.NewTimer(stopTimeout)
	defer late.Stop()
	select {
	case <-s.ended:
	case <-late.C:
		// An immediate stop takes its own children along, which a kill would leave.
		if err := s.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
			return fmt.Errorf("stop PostgreSQL: %w", err)
		}
		<-s.ended
	}
	if s.err != nil {
		return fmt.Errorf("stop PostgreSQL: %w: %s", s.err, bytes.TrimSpace(s.output.Bytes()))
	}
	return nil
}
