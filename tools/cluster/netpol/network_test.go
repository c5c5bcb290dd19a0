package netpol_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/triangle-suite/triangle/tools/cluster/netpol"
)

// patience is for a machine that is busy with other things.
const patience = 30 * time.Second

// network is a node with pods, wired as CNI's ptp does: each a network namespace of its
// own, without a name, that goes with the process.
type network struct {
	t    *testing.T
	node *os.File
	pods map[netip.Addr]*os.File
}

// newNetwork wires a node, at 10.77.0.1 and fd77::1, with a pod at each address.
func newNetwork(t *testing.T, pods ...netip.Addr) *network {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes networks")
	}
	n := &network{t: t, node: newNamespace(t), pods: map[netip.Addr]*os.File{}}
	n.in(n.node, func() error {
		for _, file := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
			if err := os.WriteFile("/proc/sys/net/"+file, []byte("1"), 0o600); err != nil {
				return err
			}
		}
		return nil
	})
	n.run(n.node, "ip link set lo up")
	for _, a := range pods {
		if n.pods[a] == nil {
			n.wire(a)
		}
	}
	return n
}

// wire gives the node one more pod, with the address of the other family that ends
// alike.
func (n *network) wire(a netip.Addr) {
	n.t.Helper()
	pod := newNamespace(n.t)
	last := a.AsSlice()[3]
	link, other := fmt.Sprintf("pod%d", last), netip.MustParseAddr(fmt.Sprintf("fd77::%x", last))
	n.pods[a], n.pods[other] = pod, pod
	n.run(n.node, fmt.Sprintf("ip link add %s type veth peer name eth0 netns /proc/%d/fd/%d", link, os.Getpid(), pod.Fd()))
	n.run(pod, "ip link set lo up", "ip link set eth0 up", fmt.Sprintf("ip address add %s/32 dev eth0", a), fmt.Sprintf("ip address add %s/128 dev eth0 nodad", other),
		"ip route add 10.77.0.1 dev eth0", "ip route add default via 10.77.0.1 dev eth0",
		"ip route add fd77::1 dev eth0", "ip route add default via fd77::1 dev eth0")
	n.run(n.node, fmt.Sprintf("ip link set %s up", link), fmt.Sprintf("ip address add 10.77.0.1/32 dev %s", link), fmt.Sprintf("ip address add fd77::1/128 dev %s nodad", link),
		fmt.Sprintf("ip route add %s dev %s", a, link), fmt.Sprintf("ip route add %s dev %s", other, link))
}

// newNamespace makes a network namespace that lives as long as the test.
func newNamespace(t *testing.T) *os.File {
	t.Helper()
	made, failed := make(chan *os.File, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			failed <- fmt.Errorf("make a network namespace: %w", err)
			return
		}
		file, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		if err != nil {
			failed <- err
			return
		}
		made <- file
	}()
	select {
	case err := <-failed:
		t.Fatal(err)
	case file := <-made:
		t.Cleanup(func() { _ = file.Close() })
		return file
	}
	return nil
}

// in does something in a namespace: what is dialled and what is started there is there.
func (n *network) in(namespace *os.File, do func() error) {
	n.t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = do()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		n.t.Fatal(err)
	}
}

func (n *network) run(namespace *os.File, commands ...string) {
	n.t.Helper()
	for _, command := range commands {
		words := strings.Fields(command)
		n.in(namespace, func() error {
			if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", command, err, out)
			}
			return nil
		})
	}
}

// enforce puts rules into force on the node.
func (n *network) enforce(rules netpol.Rules) {
	n.t.Helper()
	n.in(n.node, func() error { return netpol.Apply(n.t.Context(), rules.Ruleset()) })
}

func at(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

// where is the namespace that has an address.
func (n *network) where(a netip.Addr) *os.File {
	if pod := n.pods[a]; pod != nil {
		return pod
	}
	return n.node
}

// serve answers at an address until the test ends: connections by what they say, and
// packets by themselves.
func (n *network) serve(at netip.AddrPort, protocol string) {
	n.t.Helper()
	n.in(n.where(at.Addr()), func() error {
		if protocol == "udp" {
			packets, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
			if err != nil {
				return err
			}
			n.t.Cleanup(func() { _ = packets.Close() })
			go echoPackets(packets)
			return nil
		}
		listener, err := net.Listen("tcp", at.String())
		if err != nil {
			return err
		}
		n.t.Cleanup(func() { _ = listener.Close() })
		go echoConnections(listener)
		return nil
	})
}

func echoPackets(packets *net.UDPConn) {
	buffer := make([]byte, 16)
	for {
		size, from, err := packets.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		_, _ = packets.WriteToUDPAddrPort(buffer[:size], from)
	}
}

func echoConnections(listener net.Listener) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			buffer := make([]byte, 16)
			for {
				size, err := c.Read(buffer)
				if err != nil {
					return
				}
				_, _ = c.Write(buffer[:size])
			}
		}()
	}
}

// dial connects, and hears an answer.
func (n *network) dial(ctx context.Context, from netip.Addr, to netip.AddrPort, protocol string) (c net.Conn, err error) {
	n.in(n.where(from), func() error {
		dialer := net.Dialer{}
		if c, err = dialer.DialContext(ctx, protocol, to.String()); err == nil {
			context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
			err = echoes(c)
		}
		return nil
	})
	return c, err
}

func echoes(c net.Conn) error {
	if _, err := c.Write([]byte("?")); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	return err
}

// reaches tells whether a connection comes about, or the node drops it: either is seen,
// and neither is taken from how long something takes.
func (n *network) reaches(from netip.Addr, to netip.AddrPort, protocol string) bool {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	before, told := n.dropped(), make(chan error, 1)
	go func() {
		c, err := n.dial(ctx, from, to, protocol)
		if c != nil {
			_ = c.Close()
		}
		told <- err
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-told:
			if err != nil {
				n.t.Fatalf("%s to %s is neither let in nor dropped: %v", from, to, err)
			}
			return true
		case <-tick.C:
			if n.dropped() > before {
				cancel()
				if err := <-told; err == nil {
					n.t.Fatalf("%s reached %s, and something was dropped", from, to)
				}
				return false
			}
		}
	}
}

var counter = regexp.MustCompile(`counter packets (\d+)`)

// dropped is how many packets the node has dropped, by the present rules.
func (n *network) dropped() (all int) {
	n.t.Helper()
	n.in(n.node, func() error {
		out, err := exec.Command("nft", "list", "table", "inet", netpol.Table).CombinedOutput()
		if err != nil {
			return nil //nolint:nilerr // there is no table: nothing is dropped
		}
		for _, found := range counter.FindAllStringSubmatch(string(out), -1) {
			packets, err := strconv.Atoi(found[1])
			if err != nil {
				return err
			}
			all += packets
		}
		return nil
	})
	return all
}
