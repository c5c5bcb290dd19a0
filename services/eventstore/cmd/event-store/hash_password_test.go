package main

import (
	"bytes"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
)

func hashed(t *testing.T, password string, args ...string) (printed, said string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(&surroundings{ctx: t.Context(), stdin: strings.NewReader(password), stdout: &stdout, stderr: &stderr}, append([]string{"hash-password"}, args...))
	return stdout.String(), stderr.String(), code
}

// TestAUserWhoseLineWasMade makes a file of users, starts a store with it, and
// signs in.
func TestAUserWhoseLineWasMade(t *testing.T) {
	line, said, code := hashed(t, "jane's secret\n", "jane")
	if code != 0 || !strings.HasPrefix(line, "jane:$2") {
		t.Fatalf("ended with status %d, printed %q, said %q", code, line, said)
	}
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte("# who may call\n\n"+line), 0o600); err != nil {
		t.Fatal(err)
	}
	certificate, key := eventstoretest.Certificate(t)
	store := start(t, "--memory", "--tls-cert", certificate, "--tls-key", key, "--users", file)
	append := func(user *url.Userinfo) error {
		config, err := esdb.ParseConnectionString("esdb://" + user.String() + "@" + store.addr + "?maxDiscoverAttempts=1&tlsCaFile=" + url.QueryEscape(certificate))
		if err != nil {
			t.Fatal(err)
		}
		config.Logger = esdb.NoopLogging()
		client, err := esdb.NewClient(config)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close() //nolint:errcheck // the append is what counts
		_, err = client.AppendToStream(t.Context(), "s", esdb.AppendToStreamOptions{}, esdb.EventData{EventType: "x"})
		return err
	}
	if err := append(url.UserPassword("jane", "jane's secret")); err != nil {
		t.Errorf("the right password: %v", err)
	}
	for _, wrong := range []string{"jane's secret ", "jane", "x"} {
		if err := append(url.UserPassword("jane", wrong)); err == nil {
			t.Errorf("the password %q was let in", wrong)
		}
	}
}

func TestHashPassword(t *testing.T) {
	cases := map[string]struct {
		password string
		code     int
		want     string // of what is printed, or said
	}{
		"without an end of line": {"secret", 0, "$2"},
		"with one":               {"secret\n", 0, "$2"},
		"with the other one":     {"secret\r\n", 0, "$2"},
		"nothing":                {"", statusFailed, "the password is empty"},
		"an empty line":          {"\n", statusFailed, "the password is empty"},
		"two lines":              {"a\nb", statusFailed, "there is more than one line"},
		"too long":               {strings.Repeat("x", 73), statusFailed, "the password has 73 bytes, and bcrypt looks at no more than 72"},
		"much too long":          {strings.Repeat("x", 1<<20), statusFailed, "bcrypt looks at no more than 72"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			printed, said, code := hashed(t, tc.password)
			if code != tc.code || !strings.Contains(printed+said, tc.want) {
				t.Errorf("ended with status %d, printed %q, said %q", code, printed, said)
			}
			if code == 0 && (len(printed) != 61 || said != "") {
				t.Errorf("printed %q, said %q; want a hash alone", printed, said)
			}
		})
	}
}

func TestHelpNamesTheCommands(t *testing.T) {
	var stdout bytes.Buffer
	if code := run(&surroundings{ctx: t.Context(), stdin: strings.NewReader(""), stdout: &stdout, stderr: io.Discard}, []string{"--help"}); code != 0 {
		t.Errorf("ended with status %d", code)
	}
	for _, want := range []string{"serve", "hash-password"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the help does not name %s:\n%s", want, stdout.String())
		}
	}
}
