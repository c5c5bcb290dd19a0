package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/triangle-suite/triangle/services/internal/config"
)

// TestMain lets a test run this very binary as a service's main would start.
func TestMain(m *testing.M) {
	if os.Getenv("CONFIG_TEST_MAIN") != "" {
		var s settings
		config.Load(config.Channel, &s)
		config.Exit(config.Channel, errors.Join(errors.New("no worker ran"), errors.New("nor the other")))
	}
	os.Exit(m.Run())
}

type settings struct {
	config.Common
	BackOffice config.URL `name:"backoffice" env:"TRIANGLE_BACKOFFICE" placeholder:"URL" help:"The back office."`
	Retries    int        `name:"retries" env:"TRIANGLE_RETRIES" default:"3" help:"How often."`
}

func parse(t *testing.T, args ...string) (settings, error) {
	t.Helper()
	var s settings
	_, err := config.Parse(config.Channel, args, &bytes.Buffer{}, &s)
	return s, err
}

func TestDefaultsAreTheServicesOwn(t *testing.T) {
	for _, service := range []config.Service{config.Channel, config.Sales, config.Marketing} {
		var s settings
		if _, err := config.Parse(service, nil, &bytes.Buffer{}, &s); err != nil {
			t.Fatal(err)
		}
		want := config.Common{
			EventStore: "esdb://127.0.0.1:2113?tls=false",
			Database:   config.Database("./" + service.Name + ".db"),
			Keys:       "./keys.db",
			HTTPAddr:   config.Address(service.HTTPAddr),
			GRPCAddr:   config.Address(service.GRPCAddr),
			LogLevel:   "info",
			Command:    config.Serve,
		}
		if diff := cmp.Diff(want, s.Common); diff != "" {
			t.Errorf("%s: %s", service.Name, diff)
		}
	}
}

func TestAFlagWinsOverTheEnvironment(t *testing.T) {
	t.Setenv("TRIANGLE_HTTP_ADDR", "127.0.0.1:1000")
	t.Setenv("TRIANGLE_BACKOFFICE", "https://office:8443/api")
	t.Setenv("TRIANGLE_LOG_LEVEL", "DEBUG")
	s, err := parse(t, "--http-addr=127.0.0.1:2000")
	if err != nil {
		t.Fatal(err)
	}
	if s.HTTPAddr != "127.0.0.1:2000" || s.BackOffice != "https://office:8443/api" || s.LogLevel.Slog() != slog.LevelDebug {
		t.Errorf("got %+v", s)
	}
}

func TestAWrongValueIsOneLineThatSaysWhatToWrite(t *testing.T) {
	folder := t.TempDir()
	cases := map[string]struct {
		env  map[string]string
		args []string
		want string
	}{
		"an address without a port": {
			env:  map[string]string{"TRIANGLE_HTTP_ADDR": "8081"},
			want: `TRIANGLE_HTTP_ADDR (--http-addr) is "8081": write host:port, such as 127.0.0.1:8081`,
		},
		"an address with a port that can't be": {
			env:  map[string]string{"TRIANGLE_GRPC_ADDR": "127.0.0.1:99999"},
			want: `TRIANGLE_GRPC_ADDR (--grpc-addr) is "127.0.0.1:99999": write a port from 0 to 65535, such as 127.0.0.1:8081`,
		},
		"an address with a host that can't be": {
			args: []string{"--grpc-addr", "no host:1"},
			want: `TRIANGLE_GRPC_ADDR (--grpc-addr) is "no host:1": write host:port, such as 127.0.0.1:8081`,
		},
		"an empty address": {
			env:  map[string]string{"TRIANGLE_HTTP_ADDR": ""},
			want: `TRIANGLE_HTTP_ADDR (--http-addr) is "": write host:port, such as 127.0.0.1:8081`,
		},
		"an address with a line break": {
			env:  map[string]string{"TRIANGLE_HTTP_ADDR": "127.0.0.1\n8081"},
			want: `TRIANGLE_HTTP_ADDR (--http-addr) is "127.0.0.1\n8081": write host:port, such as 127.0.0.1:8081`,
		},
		"both on one port": {
			args: []string{"--grpc-addr=:9000", "--http-addr=:9000"},
			want: `TRIANGLE_HTTP_ADDR and TRIANGLE_GRPC_ADDR are both :9000: give each a port of its own`,
		},
		"a store that is another thing": {
			env:  map[string]string{"TRIANGLE_EVENTSTORE": "http://admin:secret@127.0.0.1:2113"},
			want: `TRIANGLE_EVENTSTORE (--eventstore) begins with "http://": write esdb://host:2113?tls=false for one node, or esdb+discover://host:2113 for a cluster`,
		},
		"a store that is no URL, with a password in it": {
			env:  map[string]string{"TRIANGLE_EVENTSTORE": "admin:secret@127.0.0.1:2113"},
			want: `TRIANGLE_EVENTSTORE (--eventstore) is not a connection string: write esdb://host:2113?tls=false for one node, or esdb+discover://host:2113 for a cluster`,
		},
		"a log level that there is not": {
			env:  map[string]string{"TRIANGLE_LOG_LEVEL": "verbose"},
			want: `TRIANGLE_LOG_LEVEL (--log-level) is "verbose": write debug, info, warn or error`,
		},
		"a database in a folder that is not there": {
			env:  map[string]string{"TRIANGLE_DATABASE": folder + "/no/channel.db"},
			want: `TRIANGLE_DATABASE (--database) is ` + folder + `/no/channel.db, but there is no folder ` + folder + `/no: make it, or write another path`,
		},
		"a database that is a folder": {
			env:  map[string]string{"TRIANGLE_DATABASE": folder},
			want: `TRIANGLE_DATABASE (--database) is the folder ` + folder + `: write the path of a file in it`,
		},
		"a database on another kind of server": {
			env:  map[string]string{"TRIANGLE_DATABASE": "mysql://u:secret@host/db"},
			want: `TRIANGLE_DATABASE (--database) begins with "mysql://": write the path of an SQLite file, such as ./service.db, or postgres://user:password@host:5432/database`,
		},
		"a server without a database": {
			env:  map[string]string{"TRIANGLE_DATABASE": "postgres://u:secret@host"},
			want: `TRIANGLE_DATABASE (--database) names no database: write postgres://user:password@host:5432/database`,
		},
		"a server at a port that is none": {
			env:  map[string]string{"TRIANGLE_KEYS": "postgres://u:secret@host:many/db"},
			want: `TRIANGLE_KEYS (--keys) is not a URL of a PostgreSQL server: write postgres://user:password@host:5432/database`,
		},
		"no database": {
			env:  map[string]string{"TRIANGLE_KEYS": ""},
			want: `TRIANGLE_KEYS (--keys) is empty: write the path of an SQLite file, such as ./service.db, or postgres://user:password@host:5432/database`,
		},
		"keys in the database": {
			env:  map[string]string{"TRIANGLE_KEYS": "./channel.db"},
			want: `TRIANGLE_DATABASE and TRIANGLE_KEYS are the same: give the key ring a file of its own, as erasure destroys keys and not rows`,
		},
		"a service's own URL": {
			env:  map[string]string{"TRIANGLE_BACKOFFICE": "ftp://office"},
			want: `TRIANGLE_BACKOFFICE (--backoffice) is not a URL: write http://host:port or https://host:port`,
		},
		"a service's own number": {
			env:  map[string]string{"TRIANGLE_RETRIES": "many"},
			want: `--retries: expected a valid 64 bit int but got "many" (from envar TRIANGLE_RETRIES="many") (see channel-support --help)`,
		},
		"a flag that there is not": {
			args: []string{"--databas=x.db"},
			want: `unknown flag --databas, did you mean "--database"? (see channel-support --help)`,
		},
		"a command that there is not": {
			args: []string{"start"},
			want: `[<command>] must be one of "serve","announce","copy-keys" but got "start" (see channel-support --help)`,
		},
		"a copy to nowhere": {
			args: []string{"copy-keys"},
			want: `copy-keys and --to go together: write copy-keys --to FILE, or postgres://user:password@host/database`,
		},
		"where to copy what": {
			args: []string{"--to", "keys.db"},
			want: `copy-keys and --to go together: write copy-keys --to FILE, or postgres://user:password@host/database`,
		},
		"a place to take of nothing": {
			args: []string{"--replace"},
			want: `copy-keys and --to go together: write copy-keys --to FILE, or postgres://user:password@host/database`,
		},
		"a copy to a server that is none": {
			args: []string{"copy-keys", "--to", "postgres://u:secret@host"},
			want: `--to names no database: write postgres://user:password@host:5432/database`,
		},
		"an argument too many": {
			args: []string{"announce", "twice"},
			want: `unexpected argument twice (see channel-support --help)`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			_, err := parse(t, tc.args...)
			if err == nil {
				t.Fatal("it was accepted")
			}
			if err.Error() != tc.want || !errors.Is(err, config.ErrValue) {
				t.Errorf("got  %s\nwant %s", err, tc.want)
			}
		})
	}
}

// One server may hold everything: each service has a schema of its own in it,
// and so has the key ring.
func TestADatabaseOnAServerMayHoldTheKeysToo(t *testing.T) {
	const url = "postgres://u:secret@host/db"
	s, err := parse(t, "--database", url, "--keys", url)
	if err != nil || string(s.Database) != url || string(s.Keys) != url {
		t.Fatalf("%v, %v: %v", s.Database, s.Keys, err)
	}
	text, err := json.Marshal(s.Database)
	if shown := fmt.Sprint(s.Database, string(text)); err != nil || strings.Contains(shown, "secret") {
		t.Errorf("it shows itself as %s (%v)", shown, err)
	}
}

func TestAWrongValueStopsTheStartWithCode2(t *testing.T) {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), "CONFIG_TEST_MAIN=1", "TRIANGLE_LOG_LEVEL=loud")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := command.Run(); !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Fatalf("run: %v, want exit code 2", err)
	}
	want := "channel-support: TRIANGLE_LOG_LEVEL (--log-level) is \"loud\": write debug, info, warn or error\n"
	if stderr.String() != want || stdout.Len() != 0 {
		t.Errorf("stderr %q, stdout %q", stderr.String(), stdout.String())
	}
}

func TestWhatElseFailsIsOneLineAndCode1(t *testing.T) {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), "CONFIG_TEST_MAIN=1")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	var exit *exec.ExitError
	if err := command.Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("run: %v, want exit code 1", err)
	}
	if want := "channel-support: no worker ran; nor the other\n"; stderr.String() != want {
		t.Errorf("stderr %q", stderr.String())
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, tc := range []struct {
		arg  string
		want []string
	}{
		{"--help", []string{
			"Usage: channel-support", "Supports a company's channels", "--http-addr=HOST:PORT", "TRIANGLE_HTTP_ADDR",
			"default 127.0.0.1:8081", "default ./channel.db", "TRIANGLE_BACKOFFICE", "OTEL_EXPORTER_OTLP_ENDPOINT",
		}},
		{"--version", []string{"channel-support ", "go1."}},
	} {
		var out bytes.Buffer
		var s settings
		done, err := config.Parse(config.Channel, []string{tc.arg}, &out, &s)
		if err != nil || !done {
			t.Fatalf("%s: done %t, err %v", tc.arg, done, err)
		}
		for _, want := range tc.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s lacks %q:\n%s", tc.arg, want, out.String())
			}
		}
	}
}

func TestHelpWorksWhereAValueIsWrong(t *testing.T) {
	t.Setenv("TRIANGLE_LOG_LEVEL", "loud")
	t.Setenv("TRIANGLE_RETRIES", "many")
	var out bytes.Buffer
	var s settings
	if done, err := config.Parse(config.Channel, []string{"--help"}, &out, &s); !done || err != nil {
		t.Errorf("done %t, err %v", done, err)
	}
}

func TestPasswordsStayOutOfTheLog(t *testing.T) {
	s := settings{Common: config.Common{EventStore: "esdb://admin:secret@127.0.0.1:2113"}, BackOffice: "http://u:secret@office"}
	var out bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info(fmt.Sprintf("starting with %+v", s), "settings", s, "eventstore", s.EventStore, "backoffice", s.BackOffice)
	}
	if strings.Contains(out.String(), "secret") || !strings.Contains(out.String(), "127.0.0.1:2113") {
		t.Errorf("logged %s", out.String())
	}
	if string(s.EventStore) != "esdb://admin:secret@127.0.0.1:2113" {
		t.Error("the conversion does not give it whole")
	}
}
