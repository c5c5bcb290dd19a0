package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

const (
	// testTimeout bounds one process of tests. It takes about a minute.
	testTimeout   = "10m"
	headerTimeout = 5 * time.Second
	hostVariable  = "TRIANGLE_CONFORMANCE_HOST"
)

// Options are the options of Run.
type Options struct {
	Store   string // the store's binary; built when empty
	Race    bool   // build the store with the race detector
	Scratch string // where the copy, data and logs go, and stay; a temporary folder that does not when empty
}

// ErrFailed says that cases failed.
var ErrFailed = errors.New("the store does not do what the suite wants")

// Run runs the suite in all modes and reports to out. It returns ErrFailed when
// a case failed, and other errors when the suite could not be run.
func Run(ctx context.Context, options Options, out io.Writer) (err error) {
	dir := options.Scratch
	if dir == "" {
		if dir, err = os.MkdirTemp("", "triangle-conformance-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	b, err := setUp(ctx, dir, options)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "The suite of %s %s against our event store\n", b.module.Path, b.module.Version)
	found := new(report)
	for _, m := range modes {
		begun := time.Now()
		results, err := b.run(ctx, m)
		if err != nil {
			return fmt.Errorf("mode %s: %w", m.name, err)
		}
		found.addMode(m.name, results, time.Since(begun))
	}
	for _, e := range exclusions {
		found.addExclusion(e, e.skips(b.source))
	}
	if _, err := io.WriteString(out, found.String()); err != nil {
		return err
	}
	if found.failures() > 0 {
		return ErrFailed
	}
	return nil
}

// bench is everything that a run needs.
type bench struct {
	module       Module
	source       source
	dir          string // the copy of the suite
	suite        string // its test binary
	store        string
	dataset      string
	certificates certificates
	work         string // data and logs
}

func setUp(ctx context.Context, dir string, options Options) (*bench, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	b := &bench{
		dir:     filepath.Join(dir, "suite"),
		suite:   filepath.Join(dir, "suite.test"),
		store:   filepath.Join(dir, "event-store"),
		dataset: filepath.Join(dir, "populated.jsonl"),
		work:    filepath.Join(dir, "databases"),
	}
	if b.module, err = FindModule(ctx, "."); err != nil {
		return nil, err
	}
	if err := prepare(b.module, b.dir); err != nil {
		return nil, err
	}
	if b.source, err = parseSource(filepath.Join(b.dir, suitePackage)); err != nil {
		return nil, err
	}
	if b.certificates, err = makeCertificates(filepath.Join(b.dir, "certs")); err != nil {
		return nil, err
	}
	if err := b.makeDataset(); err != nil {
		return nil, err
	}
	if err := compile(ctx, b.dir, b.suite); err != nil {
		return nil, err
	}
	if options.Store != "" {
		b.store, err = filepath.Abs(options.Store)
		return b, err
	}
	return b, build(ctx, ".", b.store, options.Race)
}

func (b *bench) makeDataset() error {
	known, err := readResources(filepath.Join(b.dir, "resources", "test"))
	if err != nil {
		return err
	}
	all, err := makeDataset(known)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := writeDataset(&text, all); err != nil {
		return err
	}
	return os.WriteFile(b.dataset, text.Bytes(), 0o600)
}

// run runs the suite once.
func (b *bench) run(ctx context.Context, m mode) (results []result, err error) {
	var flags []string
	if m.secure {
		flags = []string{"--tls-cert", b.certificates.node, "--tls-key", b.certificates.nodeKey, "--dev-credentials"}
	}
	work := filepath.Join(b.work, m.name)
	if err := os.MkdirAll(work, 0o700); err != nil {
		return nil, err
	}
	h := newHost(b.store, b.dataset, work, flags...)
	defer func() { err = errors.Join(err, h.endAll()) }()
	url, stop, err := serve(ctx, h.handler())
	if err != nil {
		return nil, err
	}
	defer stop()
	var all []byte
	for _, group := range m.groups(b.source) {
		var said bytes.Buffer
		if err := b.runTests(ctx, m, group, url, &said); err != nil {
			return nil, err
		}
		events, err := toEvents(ctx, said.Bytes())
		if err != nil {
			return nil, err
		}
		all = append(all, events...)
	}
	if err := os.WriteFile(filepath.Join(work, "events.json"), all, 0o600); err != nil {
		return nil, err
	}
	return tally(bytes.NewReader(all), m.wanted(b.source))
}

// serve serves on a free port of the loopback interface until stop is called.
func serve(ctx context.Context, handler http.Handler) (url string, stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // it ends by Shutdown
	}()
	return "http://" + listener.Addr().String(), func() {
		// The suite has ended, so calls under way are nobody's and end soon; what
		// they start is known to the host when they have.
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
		defer cancel()
		_ = server.Shutdown(ending)
		<-done
	}, nil
}

// runTests runs some tests, in one process, and writes down what it says. How
// the process ends says nothing that this does not.
func (b *bench) runTests(ctx context.Context, m mode, tests []string, url string, said io.Writer) error {
	cmd := exec.CommandContext(ctx, b.suite, "-test.v=test2json", "-test.timeout="+testTimeout, "-test.run="+pattern(tests))
	cmd.Dir = filepath.Join(b.dir, suitePackage)
	cmd.Env = append(os.Environ(), "EVENTSTORE_INSECURE="+strconv.FormatBool(!m.secure), "CLUSTER=false", hostVariable+"="+url)
	cmd.Stdout, cmd.Stderr = said, said
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return nil
	}
	return err
}

// toEvents turns what tests have said into the lines of go test -json.
func toEvents(ctx context.Context, said []byte) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "test2json")
	cmd.Stdin = bytes.NewReader(said)
	events, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w%s", cmd, err, stderrOf(err))
	}
	return events, nil
}
