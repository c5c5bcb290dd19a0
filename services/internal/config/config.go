// Package config reads a service's configuration: environment variables, and
// flags of the same names, which win. A wrong value stops the start with one
// line that says what to write instead.
//
// A service embeds Common and adds its own fields:
//
//	var settings struct {
//		config.Common
//		BackOffice config.URL `name:"backoffice" env:"TRIANGLE_BACKOFFICE" placeholder:"URL" help:"The back office."`
//	}
//	config.Load(config.Channel, &settings)
//	config.Exit(config.Channel, start(settings))
//
// A field whose type has a method Check() error is checked; its text goes after
// the field's name, and so reads on from there: `is "8081": write host:port`.
package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"
)

// Service is what tells one service's start from another's.
type Service struct {
	Name        string // channel: names its database, logs and spans
	Program     string // channel-support: what it is called on a command line
	Description string // one sentence for --help
	HTTPAddr    string // default of TRIANGLE_HTTP_ADDR
	GRPCAddr    string // default of TRIANGLE_GRPC_ADDR
}

// The three services.
var (
	Channel = Service{
		Name: "channel", Program: "channel-support",
		Description: "Supports a company's channels: contacts, identification, requests, outbound messages.",
		HTTPAddr:    "127.0.0.1:8081", GRPCAddr: "127.0.0.1:9081",
	}
	Sales = Service{
		Name: "sales", Program: "sales-support",
		Description: "Supports sales: customers, orders, pending requests, leads.",
		HTTPAddr:    "127.0.0.1:8082", GRPCAddr: "127.0.0.1:9082",
	}
	Marketing = Service{
		Name: "marketing", Program: "marketing-support",
		Description: "Supports marketing: propositions, campaigns, next best actions.",
		HTTPAddr:    "127.0.0.1:8083", GRPCAddr: "127.0.0.1:9083",
	}
)

// Common is the configuration that every service has.
type Common struct {
	EventStore StoreURL `name:"eventstore" env:"TRIANGLE_EVENTSTORE" default:"esdb://127.0.0.1:2113?tls=false" placeholder:"URL" help:"The event store's connection string."`
	Database   Database `name:"database" env:"TRIANGLE_DATABASE" default:"${database}" placeholder:"FILE|URL" help:"The service's own database: an SQLite file, made when it is not there, or postgres://user:password@host/database, which several replicas share; services may share it too, as each has a schema of its own."`
	Keys       Database `name:"keys" env:"TRIANGLE_KEYS" default:"./keys.db" placeholder:"FILE|URL" help:"The key ring that personal data is sealed with: an SQLite file, made when it is not there, or a PostgreSQL database."`
	HTTPAddr   Address  `name:"http-addr" env:"TRIANGLE_HTTP_ADDR" default:"${http_addr}" placeholder:"HOST:PORT" help:"Where REST, probes and metrics are served."`
	GRPCAddr   Address  `name:"grpc-addr" env:"TRIANGLE_GRPC_ADDR" default:"${grpc_addr}" placeholder:"HOST:PORT" help:"Where gRPC is served."`
	LogLevel   Level    `name:"log-level" env:"TRIANGLE_LOG_LEVEL" default:"info" placeholder:"LEVEL" help:"The least that is logged: debug, info, warn or error."`

	Image string `name:"image" env:"TRIANGLE_IMAGE" placeholder:"IMAGE" help:"The image that this is, by which the operator recognises it."`

	Command Command `arg:"" optional:"" enum:"serve,announce,copy-keys" default:"serve" help:"serve, which is the default; announce: say in the event store what this build reads and writes, and exit (neither database nor keys are needed for that); or copy-keys: copy the key ring, which may be in use, to the one of --to, and exit."`

	To      *Database `name:"to" placeholder:"FILE|URL" help:"The new key ring that copy-keys copies to."`
	Replace bool      `name:"replace" help:"Have copy-keys take the place of the file that is there, once the copy is whole."`

	Version kong.VersionFlag `name:"version" help:"Show the version, and exit."`
}

// Command is what a service's program is to do.
type Command string

// The commands.
const (
	// Serve serves until the process is told to stop.
	Serve Command = "serve"
	// Announce says in the event store what the build reads and writes, and exits.
	Announce Command = "announce"
	// CopyKeys copies the key ring to a new one, and exits.
	CopyKeys Command = "copy-keys"
)

func (c *Common) shared() *Common { return c }

// Settings is a pointer to a struct that embeds Common.
type Settings interface{ shared() *Common }

// CommonOf returns the part of a service's settings that every service has.
func CommonOf(settings Settings) *Common { return settings.shared() }

// Load fills settings from the process's arguments and environment. It ends the
// process after --help and --version, and with exit code 2 and one line on
// stderr when a value is wrong.
func Load(service Service, settings Settings) {
	done, err := Parse(service, os.Args[1:], os.Stdout, settings)
	Exit(service, err)
	if done {
		os.Exit(0) //nolint:forbidigo // to end the process is what Load is for
	}
}

// ErrValue marks an error as the configuration's: whoever starts the service has
// to change a value.
var ErrValue = errors.New("wrong configuration")

// valueError is an ErrValue that does not repeat so.
type valueError struct{ error }

func (e valueError) Unwrap() []error { return []error{ErrValue, e.error} }

// Wrong says what is wrong with the configuration, and what to write instead.
// The error is an ErrValue.
func Wrong(format string, args ...any) error { return valueError{fmt.Errorf(format, args...)} }

// Exit ends the process if err is not nil: with one line on stderr, and exit code
// 2 when a value of the configuration is wrong, 1 for anything else.
func Exit(service Service, err error) {
	if err == nil {
		return
	}
	fmt.Fprintf(os.Stderr, "%s: %s\n", service.Program, strings.ReplaceAll(err.Error(), "\n", "; "))
	if errors.Is(err, ErrValue) {
		os.Exit(2) //nolint:forbidigo // to end the process is what Exit is for
	}
	os.Exit(1) //nolint:forbidigo // the same
}

// Parse fills settings from args and the environment. done is true after --help
// or --version, which write to stdout. An error is one line that says what to
// write instead.
func Parse(service Service, args []string, stdout io.Writer, settings Settings) (done bool, err error) {
	parser, err := kong.New(settings,
		kong.Name(service.Program),
		kong.Description(service.Description+"\n\nEach flag can be given as the environment variable beside it. "+
			"Traces are switched on by OpenTelemetry's own variables, such as OTEL_EXPORTER_OTLP_ENDPOINT."),
		kong.Vars{
			"version":   VersionLine(service.Program),
			"database":  "./" + service.Name + ".db",
			"http_addr": service.HTTPAddr,
			"grpc_addr": service.GRPCAddr,
		},
		kong.Writers(stdout, stdout),
		kong.ValueFormatter(withDefault),
		kong.Exit(func(int) { done = true }),
	)
	if err != nil {
		return false, fmt.Errorf("read the configuration's definition: %w", err)
	}
	_, err = parser.Parse(args)
	if done {
		return true, nil
	}
	if err != nil {
		return false, Wrong("%s (see %s --help)", oneLine(err), service.Program)
	}
	return false, check(parser, settings.shared())
}

// withDefault shows a flag's default and variable behind its help.
func withDefault(value *kong.Value) string {
	text := kong.DefaultHelpValueFormatter(value)
	if value.HasDefault {
		text = strings.TrimSuffix(text, ".") + "; default " + value.Default
	}
	return text
}

func check(parser *kong.Kong, common *Common) error {
	for _, flag := range parser.Model.Flags {
		if err := checkFlag(flag); err != nil {
			return err
		}
	}
	if (common.Command == CopyKeys) != (common.To != nil) || common.Replace && common.To == nil {
		return Wrong("copy-keys and --to go together: write copy-keys --to FILE, or postgres://user:password@host/database")
	}
	if common.HTTPAddr == common.GRPCAddr && !common.HTTPAddr.anyPort() {
		return Wrong("TRIANGLE_HTTP_ADDR and TRIANGLE_GRPC_ADDR are both %s: give each a port of its own", common.HTTPAddr)
	}
	if common.Database == common.Keys && !common.Keys.IsServer() {
		return Wrong("TRIANGLE_DATABASE and TRIANGLE_KEYS are the same: give the key ring a file of its own, as erasure destroys keys and not rows")
	}
	return nil
}

// checkFlag names the flag as its user may have written it.
func checkFlag(flag *kong.Flag) error {
	checked, ok := valueOf(flag.Target).(interface{ Check() error })
	if !ok {
		return nil
	}
	if err := checked.Check(); err != nil {
		name := "--" + flag.Name
		if len(flag.Envs) > 0 {
			name = flag.Envs[0] + " (" + name + ")"
		}
		return Wrong("%s %s", name, oneLine(err))
	}
	return nil
}

// valueOf is what a flag was given; a flag that may be left out is a pointer.
func valueOf(target reflect.Value) any {
	if target.Kind() == reflect.Pointer {
		if target.IsNil() {
			return nil
		}
		target = target.Elem()
	}
	if target.CanAddr() {
		return target.Addr().Interface()
	}
	return target.Interface()
}

// oneLine keeps a message to one line, whatever was quoted into it.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// version is set by the linker for a release.
var version string

// Version returns the version of the program that runs.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development"
}

// VersionLine returns what --version shows of program.
func VersionLine(program string) string {
	return fmt.Sprintf("%s %s (%s%s)", program, Version(), runtime.Version(), commit())
}

func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return ", commit " + s.Value
		}
	}
	return ""
}
