package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/machine"
)

// stopTimeout bounds how long a PostgreSQL may take to stop.
const stopTimeout = 20 * time.Second

// FindPostgres returns the folder of PostgreSQL's programs, "" when it is not
// installed.
func FindPostgres(ctx context.Context) string {
	var folders []string
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
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

// Postgres is a PostgreSQL of this process's own, with fsync on and otherwise
// as it is shipped. It listens on a socket in its own folder only.
type Postgres struct {
	dir    string
	attr   *syscall.SysProcAttr
	cmd    *exec.Cmd
	ended  chan struct{} // closed when err holds
	err    error
	output bytes.Buffer // to be read when it has ended
}

// StartPostgres starts the PostgreSQL whose programs are in folder bin, with
// its data in folder dir.
func StartPostgres(ctx context.Context, bin, dir string) (*Postgres, error) {
	p := &Postgres{dir: dir, attr: machine.Child(), ended: make(chan struct{})}
	if err := p.giveAway(); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	data := filepath.Join(dir, "data")
	initdb := p.command(exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "bench", "--auth=trust", "--no-locale", "-E", "UTF8"))
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	p.cmd = p.command(exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=on", "-c", "synchronous_commit=on")) //nolint:noctx // Close ends it in order
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	if err := p.ready(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w", err), p.Close())
	}
	return p, nil
}

// giveAway gives the folder to a user who has no rights when this process runs
// as root, whom PostgreSQL refuses to serve.
func (p *Postgres) giveAway() error {
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
	p.attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(p.dir, int(uid), int(gid))
}

// command has cmd run as the folder's owner, in it, and without settings of
// the environment.
func (p *Postgres) command(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr, cmd.Dir, cmd.Env = p.attr, p.dir, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	return cmd
}

// ready waits until it answers.
func (p *Postgres) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		pool, err := p.Pool(ctx, 1)
		if err != nil {
			return err
		}
		err = pool.Ping(ctx)
		pool.Close()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("it ended: %w: %s", p.err, bytes.TrimSpace(p.output.Bytes()))
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		case <-again.C:
		}
	}
}

// URL is what a client connects by.
func (p *Postgres) URL() string {
	return "postgres:///postgres?" + url.Values{"host": {p.dir}, "user": {"bench"}, "sslmode": {"disable"}}.Encode()
}

// Pool makes a pool of at most so many connections.
func (p *Postgres) Pool(ctx context.Context, connections int) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(p.URL() + fmt.Sprintf("&pool_max_conns=%d", connections))
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// Close stops it: in order, and by force when that takes too long.
func (p *Postgres) Close() error {
	select {
	case <-p.ended:
		return nil // ready has said why
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	late := time.NewTimer(stopTimeout)
	defer late.Stop()
	select {
	case <-p.ended:
	case <-late.C:
		// Immediate shutdown: it takes its own children along, which a kill
		// would leave.
		if err := p.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
			return fmt.Errorf("stop PostgreSQL: %w", err)
		}
		<-p.ended
	}
	if p.err != nil {
		return fmt.Errorf("stop PostgreSQL: %w: %s", p.err, bytes.TrimSpace(p.output.Bytes()))
	}
	return nil
}
