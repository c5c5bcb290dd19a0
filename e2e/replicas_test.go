package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/services/loopback"
)

// takeoverLimit is how long a flow may stand still when the replica that takes it
// in was killed, or freezes.
const takeoverLimit = 10 * time.Second

// replica is one process of a service of which several run.
type replica struct {
	name, service string
	log           string
	pid           int
	ended         chan struct{}
	gone          bool
}

// replicate runs more replicas of a service, besides the one of the suite, which
// comes first.
func (s *suite) replicate(service, database string, more int) []*replica {
	s.t.Helper()
	all := []*replica{{name: service, service: service, log: filepath.Join(s.data, "logs", service+".log"), pid: s.pid(service)}}
	for i := range more {
		all = append(all, s.startReplica(service, fmt.Sprintf("%s-%d", service, i+2), database))
	}
	for _, r := range all {
		s.await(r.name+" that is ready", func() bool { return s.isReady(r) })
	}
	return all
}

// isReady tells whether a replica is ready; one that does not listen yet is not.
func (s *suite) isReady(r *replica) bool {
	answer, err := http.Get(s.at[r.name] + "/readyz")
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

func (s *suite) startReplica(service, name, database string) *replica {
	s.t.Helper()
	r := &replica{name: name, service: service, log: filepath.Join(s.data, "logs", name+".log"), ended: make(chan struct{})}
	log, err := os.Create(r.log)
	if err != nil {
		s.t.Fatal(err)
	}
	rest, grpc := loopback.Address(s.t), loopback.Address(s.t)
	cmd := exec.Command(filepath.Join(programs, service+"-support"))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "TRIANGLE_EVENTSTORE=esdb://"+s.eventStore+"?tls=false", "TRIANGLE_DATABASE="+database,
		"TRIANGLE_KEYS="+database, "TRIANGLE_HTTP_ADDR="+rest, "TRIANGLE_GRPC_ADDR="+grpc)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	r.pid, s.at[name] = cmd.Process.Pid, "http://"+rest
	go func() {
		_ = cmd.Wait() // some are killed
		close(r.ended)
	}()
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-r.ended
		_ = log.Close()
	})
	return r
}

func (s *suite) pid(name string) int {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.data, "processes.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	pids := map[string]int{}
	if err := json.Unmarshal(text, &pids); err != nil || pids[name] == 0 {
		s.t.Fatalf("find process %s: %v", name, err)
	}
	return pids[name]
}

// owner returns the replica that takes in the service's flows, by what the
// replicas log.
func (s *suite) owner(replicas []*replica) *replica {
	s.t.Helper()
	var owner *replica
	s.await("one owner", func() bool {
		owner = nil
		for _, r := range replicas {
			text, err := os.ReadFile(r.log)
			if err != nil {
				s.t.Fatal(err)
			}
			begun, lost := strings.Count(string(text), "this replica takes in the flows"), strings.Count(string(text), "another replica may take in the flows now")
			if begun > lost && !r.gone {
				if owner != nil {
					return false // the old one has not noticed yet
				}
				owner = r
			}
		}
		return owner != nil
	})
	return owner
}

// order places an order of 100 for a customer.
func (s *suite) order(n int) {
	s.t.Helper()
	s.call(http.StatusOK, http.MethodPost, "sales", "/v1/orders", body{
		"customer_number": "c-1", "order_number": fmt.Sprint("o-", n), "ordered_on": "2026-11-21", "quantity": 1, "amount_cents": 100, "source": "test",
	})
}

// orders is what a replica of marketing knows of the customer's orders.
func (s *suite) orders(name, customer string) (count string, cents string) {
	s.t.Helper()
	r, err := http.Get(s.at[name] + "/v1/customers/" + customer + "/profile")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	var b body
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		s.t.Fatal(err)
	}
	return b.text("orders"), b.text("spentCents")
}

// TestReplicas runs three replicas of marketing and three of the channel on one
// PostgreSQL. The one that takes the flows in freezes, and the one that replaces
// it is killed: each time another one takes over, and in the end everything was
// taken in once, also by the one that wakes.
func TestReplicas(t *testing.T) {
	url := database(t)
	s := up(t, "--database", url)
	t.Run("of marketing", func(t *testing.T) { s.on(t).replaceMarketing(url) })
	t.Run("of the channel", func(t *testing.T) { s.on(t).replaceChannel(url) })
}

// on has a part of a test use the suite.
func (s *suite) on(t *testing.T) *suite {
	part := *s
	part.t, part.prefix = t, t.Name()+" "
	return &part
}

func (s *suite) replaceMarketing(url string) {
	replicas := s.replicate("marketing", url, 2)
	s.triangle("flow", "set", "customer-facts", "--cadence", "realtime")
	customer := s.call(http.StatusOK, http.MethodPost, "sales", "/v1/customers", body{"customer_number": "c-1", "source": "test"}).text("customerId")
	placed := 0
	place := func() { placed++; s.order(placed) }
	allKnow := func(replicas []*replica) func() bool {
		return func() bool {
			for _, r := range replicas {
				if count, cents := s.orders(r.name, customer); count != fmt.Sprint(placed) || cents != fmt.Sprint(placed*100) {
					return false
				}
			}
			return true
		}
	}
	for range 10 {
		place()
	}
	s.await("every replica to know the orders", allKnow(replicas))

	frozen := s.owner(replicas)
	others := without(replicas, frozen)
	s.signal(frozen, syscall.SIGSTOP)
	s.takenOver("freeze", func() bool { place(); return allKnow(others)() })

	killed := s.owner(others)
	s.signal(killed, syscall.SIGKILL)
	rest := without(others, killed)
	s.takenOver("kill", func() bool { place(); return allKnow(rest)() })

	s.signal(frozen, syscall.SIGCONT)
	awake := append(rest, frozen)
	for range 10 {
		place()
	}
	s.await("the one that froze to know as much as the others", allKnow(awake))
	if owner := s.owner(awake); owner == frozen {
		s.t.Error("the one that froze took over again, although another one was there")
	}
	if !s.isReady(frozen) {
		s.t.Error("the one that froze is not ready")
	}
}

// A call on a replica that takes nothing in waits for a decision that another
// one takes in.
func (s *suite) replaceChannel(url string) {
	s.offerPropositions()
	replicas := s.replicate("channel", url, 2)
	contact := s.startContact("CHANNEL_WEBSITE", "c-1")
	frozen := s.owner(replicas)
	for _, r := range replicas {
		began := time.Now()
		if list, _ := s.calling(r).look(contact); len(list) == 0 {
			s.t.Errorf("%s answers with an empty list", r.name)
		}
		s.t.Logf("%s (owner: %t) answered with the list decided for the call in %d ms", r.name, r == frozen, time.Since(began).Milliseconds())
	}
	others := without(replicas, frozen)
	s.signal(frozen, syscall.SIGSTOP)
	s.takenOver("freeze", func() bool { return s.calling(others[0]).decided(contact) })
	killed := s.owner(others)
	s.signal(killed, syscall.SIGKILL)
	rest := without(others, killed)
	s.takenOver("kill", func() bool { return s.calling(rest[0]).decided(contact) })
	s.signal(frozen, syscall.SIGCONT)
	for _, r := range append(rest, frozen) {
		s.calling(r).await("an answer of "+r.name, func() bool { return s.calling(r).decided(contact) })
	}
}

// at2 has the channel's calls go to a replica.
func (s *suite) calling(r *replica) *suite {
	part := *s
	part.at = map[string]string{"channel": s.at[r.name]}
	part.prefix = r.name + fmt.Sprint(time.Now().UnixNano())
	return &part
}

// decided tells whether the call gets the list that was decided for it.
func (s *suite) decided(contact string) bool {
	answer := s.call(http.StatusOK, http.MethodPost, "channel", "/v1/contacts/"+contact+"/events", body{
		"interest": body{"kind": "landing-page", "topic": "jazz"}, "wait": "0.2s",
	})
	return answer.text("nextBestActions", "source") == "LIST_SOURCE_DECIDED"
}

func (s *suite) signal(r *replica, signal syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(r.pid, signal); err != nil {
		s.t.Fatalf("send %v to %s: %v", signal, r.name, err)
	}
	r.gone = signal != syscall.SIGCONT
}

// takenOver waits until it is so, and measures how long that takes.
func (s *suite) takenOver(after string, isSo func() bool) {
	s.t.Helper()
	began := time.Now()
	s.await("another replica to take over after a "+after, isSo)
	took := time.Since(began)
	s.t.Logf("after a %s another replica took over in %.1f s", after, took.Seconds())
	if took > takeoverLimit {
		s.t.Errorf("after a %s it took %s until another replica took over, want at most %s", after, took, takeoverLimit)
	}
}

func without(replicas []*replica, one *replica) (others []*replica) {
	for _, r := range replicas {
		if r != one {
			others = append(others, r)
		}
	}
	return others
}
