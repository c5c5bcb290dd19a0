package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/services/loopback"
)

// bonusGranted is the event type that the newer build reads and writes, beside all
// that the older one does.
const bonusGranted = "sales.v2.BonusGranted"

// The two builds.
const (
	older = "older"
	newer = "newer"
)

// fleet is a store and the three services, each of which is rolled out by itself.
type fleet struct {
	*suite
	running map[string]*process

	customer string
	placed   int // orders
	granted  int // bonuses, of a cent each
}

// process is a program that the test runs.
type process struct {
	cmd *exec.Cmd
	log string
}

// TestAnOlderAndANewerBuildLoseNothing rolls a newer build out beside an older one,
// service by service, and back and forward, while orders are placed all the time.
// In the end marketing has taken in every event once and in order: it knows what was
// placed, and a database that is filled anew from the store is the same, row by row.
func TestAnOlderAndANewerBuildLoseNothing(t *testing.T) {
	f := newFleet(t)
	for _, service := range services {
		f.roll(service, older)
	}
	f.beginOrders()
	f.order(5)

	// Before the type is active, forward and back are free.
	f.roll("marketing", newer)
	f.order(5)
	f.refuseActivation("no service that runs waits to write this type")
	f.roll("marketing", older)
	f.order(5)
	f.roll("marketing", newer)
	f.roll("sales", newer)
	f.order(5)
	f.roll("sales", older)
	f.order(5)
	f.roll("sales", newer)

	// It can't be activated while a replica runs that can't read it, be it one that
	// has nothing to do with the flow.
	f.refuseActivation("channel ", "does not read "+bonusGranted)
	f.order(5)
	f.roll("channel", newer)
	f.roll("marketing", older)
	f.refuseActivation("marketing ", "does not read "+bonusGranted)
	f.order(5)
	f.roll("marketing", newer)
	f.activate()
	f.order(10)

	// From here on the older build would lose bonuses, and does not start. What is
	// placed meanwhile waits for the newer one.
	f.stop("marketing")
	f.place(5)
	f.wantHeld("marketing")
	f.roll("marketing", newer)
	f.awaitAll()
	f.stop("sales")
	f.wantHeld("sales")
	f.roll("sales", newer)
	f.order(5)

	f.wantVersions()
	f.wantOnceAndInOrder()
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	buildNewer(t)
	f := &fleet{suite: &suite{t: t, data: t.TempDir(), at: map[string]string{}, eventStore: loopback.Address(t)}, running: map[string]*process{}}
	if err := os.Mkdir(filepath.Join(f.data, "logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			keepForTheReader(t, f.data)
		}
		for _, name := range []string{"channel", "sales", "marketing", "event-store"} {
			f.stop(name)
		}
	})
	f.run("event-store", filepath.Join(programs, "event-store"), []string{"--addr", f.eventStore, "--data", filepath.Join(f.data, "store")})
	f.await("the store", func() bool { return answers("http://" + f.eventStore + "/health/live") })
	return f
}

func answers(url string) bool {
	r, err := http.Get(url)
	if err != nil {
		return false
	}
	_ = r.Body.Close()
	return r.StatusCode < 300
}

// buildNewer builds the services with the tag that adds the type.
func buildNewer(t *testing.T) {
	t.Helper()
	began := time.Now()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", "triangle_next", "-o", filepath.Join(programs, newer)+string(filepath.Separator),
		"../services/channel/cmd/channel-support", "../services/sales/cmd/sales-support", "../services/marketing/cmd/marketing-support")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := os.MkdirAll(filepath.Join(programs, newer), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the newer programs: %v\n%s", err, out)
	}
	t.Logf("built the newer programs in %.1f s", time.Since(began).Seconds())
}

func program(service, build string) string {
	if build == newer {
		return filepath.Join(programs, newer, service+"-support")
	}
	return filepath.Join(programs, service+"-support")
}

// run runs a program, whose output goes to its log.
func (f *fleet) run(name, path string, args []string, env ...string) *process {
	f.t.Helper()
	p := &process{cmd: exec.Command(path, args...), log: filepath.Join(f.data, "logs", name+".log")}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = append(os.Environ(), env...)
	if err := p.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.running[name] = p
	return p
}

func (f *fleet) env(service, database string) []string {
	return []string{
		"TRIANGLE_EVENTSTORE=esdb://" + f.eventStore + "?tls=false", "TRIANGLE_DATABASE=" + filepath.Join(f.data, database),
		"TRIANGLE_KEYS=" + filepath.Join(f.data, "keys.db"), "TRIANGLE_HTTP_ADDR=" + strings.TrimPrefix(f.at[service], "http://"), "TRIANGLE_GRPC_ADDR=127.0.0.1:0",
	}
}

// stop stops a program in good order.
func (f *fleet) stop(name string) {
	f.t.Helper()
	p := f.running[name]
	if p == nil {
		return
	}
	delete(f.running, name)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		f.t.Error(err)
	}
	if err := p.cmd.Wait(); err != nil {
		f.t.Errorf("%s ended with %v", name, err)
	}
}

// roll replaces a service's running build, on the service's database.
func (f *fleet) roll(service, build string) { f.rollOn(service, build, service+".db") }

func (f *fleet) rollOn(service, build, database string) {
	f.t.Helper()
	f.stop(service)
	f.at[service] = "http://" + loopback.Address(f.t)
	f.run(service, program(service, build), nil, f.env(service, database)...)
	f.await("the "+build+" "+service, func() bool { return answers(f.at[service] + "/readyz") })
}

// wantHeld runs the older build of a service, which must end with a line that says
// why.
func (f *fleet) wantHeld(service string) {
	f.t.Helper()
	p := f.run(service, program(service, older), nil, f.env(service, service+".db")...)
	delete(f.running, service)
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	select {
	case err := <-ended:
		if err == nil {
			f.t.Errorf("the older %s ended without an error", service)
		}
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		f.t.Errorf("the older %s runs, although it can't read %s, until it is killed: %v", service, bonusGranted, <-ended)
	}
	text, err := os.ReadFile(p.log)
	if err != nil {
		f.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	last := lines[len(lines)-1]
	if !strings.HasPrefix(last, service+"-support: ") || !strings.Contains(last, "does not read "+bonusGranted) || !strings.Contains(last, "run a build that reads it") {
		f.t.Errorf("the older %s does not say why it ends:\n%s", service, last)
	}
}

// triangle runs the command, and returns what it prints.
func (f *fleet) command(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "triangle"), args...)
	cmd.Env = append(os.Environ(), "TRIANGLE_EVENTSTORE=esdb://"+f.eventStore+"?tls=false")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (f *fleet) want(args ...string) string {
	f.t.Helper()
	out, err := f.command(args...)
	if err != nil {
		f.t.Fatalf("triangle %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// refuseActivation wants the type not to be activated, for the reasons given, and
// none to be written.
func (f *fleet) refuseActivation(reasons ...string) {
	f.t.Helper()
	out, err := f.command("types", "activate", bonusGranted)
	if err == nil {
		f.t.Fatalf("the type was activated:\n%s", out)
	}
	f.t.Log(strings.TrimSpace(out))
	for _, reason := range reasons {
		if !strings.Contains(out, reason) {
			f.t.Errorf("the refusal does not say %q:\n%s", reason, out)
		}
	}
}

// activate activates the type, and waits until sales writes it.
func (f *fleet) activate() {
	f.t.Helper()
	f.want("types", "activate", bonusGranted, "--reason", "every build reads it")
	if out := f.want("types", "list"); !strings.Contains(out, bonusGranted+"  since") || !strings.Contains(out, "customer-facts") {
		f.t.Errorf("types list does not show it:\n%s", out)
	}
	f.await("sales to write the type", func() bool {
		f.place(1)
		f.await("marketing to know the order", func() bool { orders, _ := f.known(); return orders == fmt.Sprint(f.placed) })
		_, cents := f.known()
		if cents == fmt.Sprint(f.placed*100+1) {
			f.granted = 1
		}
		return f.granted > 0
	})
}

func (f *fleet) beginOrders() {
	f.t.Helper()
	f.want("flow", "set", "customer-facts", "--cadence", "realtime")
	f.customer = f.call(http.StatusOK, http.MethodPost, "sales", "/v1/customers", body{"customer_number": "c-1", "source": "test"}).text("customerId")
}

// place places orders of 100.
func (f *fleet) place(n int) {
	f.t.Helper()
	for range n {
		f.placed++
		f.suite.order(f.placed)
		if f.granted > 0 {
			f.granted++
		}
	}
}

// order places orders, and waits until marketing knows them.
func (f *fleet) order(n int) {
	f.t.Helper()
	f.place(n)
	f.awaitAll()
}

// known is what marketing knows of the customer's orders.
func (f *fleet) known() (count, cents string) { return f.orders("marketing", f.customer) }

func (f *fleet) awaitAll() {
	f.t.Helper()
	f.await(fmt.Sprintf("marketing to know %d orders and %d bonuses", f.placed, f.granted), func() bool {
		count, cents := f.known()
		return count == fmt.Sprint(f.placed) && cents == fmt.Sprint(f.placed*100+f.granted)
	})
}

// wantVersions wants a version of the flow's types for each time that marketing's
// build changed, and none for the build that was held.
func (f *fleet) wantVersions() {
	f.t.Helper()
	const without, with = "sales.ConsentChanged, sales.CustomerChanged, sales.CustomerRegistered, sales.OrderPlaced",
		"sales.BonusGranted, sales.ConsentChanged, sales.CustomerChanged, sales.CustomerRegistered, sales.OrderPlaced"
	var got []string
	for line := range strings.Lines(f.want("flow", "history", "customer-facts")) {
		if _, version, ok := strings.Cut(line, "types version "); ok {
			number, rest, _ := strings.Cut(version, " ")
			_, types, _ := strings.Cut(rest, ": ")
			got = append(got, number+" "+strings.TrimSpace(types))
		}
	}
	want := []string{"1 " + without, "2 " + with, "3 " + without, "4 " + with, "5 " + without, "6 " + with}
	if !slices.Equal(got, want) {
		f.t.Errorf("the versions of the flow's types are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if out := f.want("flow", "show", "customer-facts"); !strings.Contains(out, "version 6") || !strings.Contains(out, "sales.BonusGranted") {
		f.t.Errorf("flow show does not tell the version:\n%s", out)
	}
}

// wantOnceAndInOrder fills a new database of marketing from the store, and wants it
// to be the one that went through all of it: the same rows, the same events in the
// same order of each key, the same count.
func (f *fleet) wantOnceAndInOrder() {
	f.t.Helper()
	lived, anew := filepath.Join(f.data, "marketing.db"), filepath.Join(f.data, "anew.db")
	f.awaitTold(lived)
	f.rollOn("marketing", newer, "anew.db")
	f.awaitAll()
	f.awaitTold(anew)
	f.stop("marketing")
	f.sameRows(dump(f.t, anew), dump(f.t, lived))
	f.sameRows(f.select1(anew, chains), f.select1(lived, chains))
	taken := f.select1(lived, `SELECT 'taken ' || taken || ', parked ' || parked FROM flow_checkpoint WHERE flow = 'customer-facts'`)
	if want := fmt.Sprintf("taken %d, parked 0", 1+f.placed+f.granted); !slices.Equal(taken, []string{want}) {
		f.t.Errorf("marketing has %s, want %s: the customer, the orders and the bonuses", taken, want)
	}
	f.stop("sales")
	if orders := f.select1(filepath.Join(f.data, "sales.db"), `SELECT order_id FROM customer_order`); len(orders) != f.placed {
		f.t.Errorf("sales has %d orders, want %d", len(orders), f.placed)
	}
	f.t.Logf("%d orders and %d bonuses, each taken in once and in order, by builds that changed 5 times", f.placed, f.granted)
}

// awaitTold waits until a database holds no control event that is yet to be told:
// such a row is there for a moment only.
func (f *fleet) awaitTold(path string) {
	f.t.Helper()
	f.await("an empty outbox", func() bool { return len(f.select1(path, `SELECT id FROM flow_outbox`)) == 0 })
}

// chains are over the ids of a key's events, in the order in which they were taken
// in.
const chains = `SELECT flow || ' ' || key || ' ' || hex(chain) FROM flow_chain WHERE flow = 'customer-facts' ORDER BY key`

func (f *fleet) select1(path, query string) []string {
	f.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path)+"?mode=ro")
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	return column(f.t, db, query)
}

func (f *fleet) sameRows(want, got []string) {
	f.t.Helper()
	if len(want) == 0 {
		f.t.Error("there are no rows: the comparison says nothing")
	}
	if missing, extra := difference(want, got), difference(got, want); len(missing)+len(extra) > 0 {
		f.t.Errorf("%d rows of the database filled anew are missing, %d others are there:\n- %s\n+ %s",
			len(missing), len(extra), strings.Join(head(missing), "\n- "), strings.Join(head(extra), "\n+ "))
	}
}
