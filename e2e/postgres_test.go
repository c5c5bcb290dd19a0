package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// database starts a PostgreSQL for the test, and returns the URL of a database in
// it. Where PostgreSQL is not installed the test is skipped, unless CI is set.
func database(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(programs, "pgtest"), "triangle")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("PostgreSQL ended with %v", err)
		}
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		if os.Getenv("CI") != "" {
			t.Fatal("PostgreSQL is not installed")
		}
		t.Skip("PostgreSQL is not installed")
	}
	return lines.Text()
}

// The whole scenario plays on one PostgreSQL database, which holds the read
// models of all services and the key ring. Nothing is left in files.
func TestTheScenarioPlaysOnPostgreSQL(t *testing.T) {
	url, data := database(t), t.TempDir()
	demo(t, data, func(int) {}, "--database", url)
	files, err := filepath.Glob(filepath.Join(data, "*.db"))
	if err != nil || len(files) > 0 {
		t.Errorf("there are files, too: %v (%v)", files, err)
	}
	refusesAnotherStore(t, url)
}

// refusesAnotherStore starts everything on a new store and a database that was
// filled from another one: no service takes the one for the other, and none is
// ready.
func refusesAnotherStore(t *testing.T, url string) {
	t.Helper()
	s := &suite{t: t, data: t.TempDir()}
	cmd := exec.Command(filepath.Join(programs, "triangle"), "up", "--no-sample", "--no-scenario", "--data", s.data, "--ports", "auto", "--database", url)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.await("services that refuse the other store, and say what to do", func() bool {
		for _, service := range services {
			log, err := os.ReadFile(filepath.Join(s.data, "logs", service+".log"))
			if err != nil || !strings.Contains(string(log), "start on a new database") {
				return false
			}
		}
		return true
	})
	if s.readAddresses() {
		t.Error("the services count as ready")
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("triangle up ended as if all had gone well")
	}
}

func TestADatabaseThatWillNotDoStopsTheStart(t *testing.T) {
	url := database(t)
	for name, tc := range map[string]struct{ url, want string }{
		"no such database": {strings.Replace(url, "/triangle?", "/nowhere?", 1), "make the database, or name another one in the URL"},
		"nobody there":     {"postgres://me:secret@127.0.0.1:1/triangle", "is PostgreSQL running there, and reachable?"},
		"no database":      {"postgres://me:secret@127.0.0.1", "names no database"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, variable := range []string{"TRIANGLE_DATABASE", "TRIANGLE_KEYS"} {
				cmd := exec.Command(filepath.Join(programs, "sales-support"))
				cmd.Dir = t.TempDir()
				cmd.Env = append(os.Environ(), variable+"="+tc.url, "TRIANGLE_HTTP_ADDR=127.0.0.1:0", "TRIANGLE_GRPC_ADDR=127.0.0.1:0")
				out, err := cmd.CombinedOutput()
				text := string(out)
				if err == nil || !strings.Contains(text, tc.want) || !strings.Contains(text, variable) {
					t.Errorf("%s: %v: %s", variable, err, text)
				}
				if strings.Count(text, "\n") != 1 || strings.Contains(text, "secret") {
					t.Errorf("%s: it is not one line, or holds the password: %s", variable, text)
				}
			}
		})
	}
}
