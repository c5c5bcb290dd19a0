package netpol_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/triangle-suite/triangle/operator/apitest"
	"github.com/triangle-suite/triangle/tools/cluster/netpol"
	"github.com/triangle-suite/triangle/tools/packages"
)

func TestMain(m *testing.M) { os.Exit(asRoot(m)) }

// asRoot runs the tests, which make networks of their own: whoever is not root is so in
// a namespace of his own, where nothing but these networks is his.
func asRoot(m *testing.M) int {
	err := packages.Install(context.Background(), os.Stderr, packages.Need{Package: "nftables", File: "nft"}, packages.Need{Package: "iproute2", File: "ip"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if os.Geteuid() == 0 {
		return apitest.Run(m)
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	var ended *exec.ExitError
	switch err := cmd.Run(); {
	case errors.As(err, &ended):
		return ended.ExitCode()
	case err != nil:
		fmt.Fprintln(os.Stderr, "these tests make networks of their own: run them as root, or allow user namespaces:", err)
		return 1
	}
	return 0
}

// shop is who there is in most tests. The name server is a process of the node.
var shop = netpol.State{
	Namespaces: []corev1.Namespace{namespace("shop", "team=sales"), namespace("office", "team=back"), namespace("kube-system", "")},
	Pods: []corev1.Pod{
		pod("shop/store 10.77.0.2 app=store,tier=data db=2113/TCP names=2114/UDP"),
		pod("shop/channel 10.77.0.3 app=channel http=8081/TCP"),
		pod("shop/canary 10.77.0.4 app=canary"),
		pod("office/operator 10.77.0.5 app=operator http=9090/TCP"),
	},
	Processes: []corev1.Pod{pod("kube-system/name-server 10.77.0.1 k8s-app=kube-dns")},
}

func namespace(name, labels string) corev1.Namespace {
	set := labelsOf(labels)
	set["kubernetes.io/metadata.name"] = name
	return corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: set}}
}

// pod reads "namespace/name address,address label=value,label=value port=80/TCP …".
func pod(text string) corev1.Pod {
	words := strings.Fields(text)
	namespace, name, _ := strings.Cut(words[0], "/")
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labelsOf(words[2])}}
	for ip := range strings.SplitSeq(words[1], ",") {
		p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: ip})
	}
	var c corev1.Container
	for _, word := range words[3:] {
		name, at, _ := strings.Cut(word, "=")
		number, protocol, _ := strings.Cut(at, "/")
		port, err := strconv.ParseInt(number, 10, 32)
		if err != nil {
			panic(err)
		}
		c.Ports = append(c.Ports, corev1.ContainerPort{Name: name, ContainerPort: int32(port), Protocol: corev1.Protocol(protocol)})
	}
	p.Spec.Containers = []corev1.Container{c}
	return p
}

func labelsOf(text string) map[string]string {
	set := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			set[key] = value
		}
	}
	return set
}

// policy reads the spec of one in namespace shop.
func policy(t testing.TB, spec string) networkingv1.NetworkPolicy {
	t.Helper()
	p := networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "p"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatal(err)
	}
	return p
}

// connection reads "channel → store 2113/TCP", of the shop's pods and others: world is
// somebody outside, and node the node itself.
func connection(t testing.TB, text string) netpol.Connection {
	t.Helper()
	words := strings.Fields(text)
	if len(words) != 4 {
		t.Fatalf("%q is no connection", text)
	}
	number, protocol, _ := strings.Cut(words[3], "/")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return netpol.Connection{From: address(t, words[0]), To: address(t, words[2]), Protocol: corev1.Protocol(protocol), Port: uint16(port)}
}

func address(t testing.TB, name string) netip.Addr {
	t.Helper()
	switch name {
	case "world":
		return netip.MustParseAddr("192.0.2.7")
	case "neighbour":
		return netip.MustParseAddr("192.0.2.200")
	case "node":
		return netip.MustParseAddr("10.77.0.1")
	}
	for _, p := range shop.Pods {
		if p.Name == name {
			return netip.MustParseAddr(p.Status.PodIPs[0].IP)
		}
	}
	t.Fatalf("nobody is called %s", name)
	return netip.Addr{}
}
