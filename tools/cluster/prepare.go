package cluster

import (
	"bytes"
	"context"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"text/template"
)

//go:embed config
var configs embed.FS

// volumes is how many there are of each kind.
const volumes = 40

// pauseImage is what holds a pod's namespaces.
const pauseImage = "triangle.dev/pause:1"

// values are what the configurations are filled in with.
func (c *Cluster) values() map[string]any {
	return map[string]any{
		"Dir": c.dir, "Socket": c.socket(), "PauseImage": pauseImage, "NodeAddress": nodeAddress, "NodeName": nodeName,
		"PodRange": podRange, "DNSService": dnsService, "DNSZone": dnsZone, "Volumes": c.volumes(), "Upstream": hasNameServer(),
	}
}

func (c *Cluster) socket() string { return c.path("containerd.sock") }

// volumes are the names of the volumes, and by whom each can be mounted.
func (c *Cluster) volumes() map[string]string {
	all := map[string]string{}
	for i := range volumes {
		all[fmt.Sprintf("node-%02d", i)] = "ReadWriteOnce"
		all[fmt.Sprintf("pod-%02d", i)] = "ReadWriteOncePod"
	}
	return all
}

// hasNameServer tells whether this machine knows any to pass other names on to.
func hasNameServer() bool {
	text, err := os.ReadFile("/etc/resolv.conf")
	return err == nil && strings.Contains("\n"+string(text), "\nnameserver ")
}

// fill fills in a configuration.
func fill(name string, values any) ([]byte, error) {
	t, err := template.ParseFS(configs, "config/"+name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Option("missingkey=error").Execute(&b, values); err != nil {
		return nil, fmt.Errorf("fill in %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// prepare makes all that the parts need to start.
func (c *Cluster) prepare(ctx context.Context) error {
	for _, dir := range []string{"config", "cni", "logs/pods", "kubelet"} {
		if err := os.MkdirAll(c.path(dir), 0o755); err != nil {
			return fmt.Errorf("make the cluster's folder: %w", err)
		}
	}
	for name := range c.volumes() {
		if err := os.MkdirAll(c.path("volumes", name), 0o755); err != nil {
			return fmt.Errorf("make a volume: %w", err)
		}
	}
	for name, to := range map[string]string{
		"containerd.toml": c.config("containerd.toml"), "kubelet.yaml": c.config("kubelet.yaml"), "Corefile": c.config("Corefile"),
		"ptp.conflist": c.path("cni", "10-triangle.conflist"),
	} {
		text, err := fill(name, c.values())
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, text, 0o600); err != nil {
			return fmt.Errorf("configure: %w", err)
		}
	}
	return errors.Join(c.identify(), c.network(ctx))
}

// identify gives each part the certificate that the others know it by.
func (c *Cluster) identify() error {
	a, err := newAuthority(c.path("config"))
	if err != nil {
		return err
	}
	node := []net.IP{net.ParseIP(nodeAddress)}
	names := []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + dnsZone}
	for name, who := range map[string]identity{
		"etcd":                    {user: "etcd", ips: node},
		"kube-apiserver":          {user: "kube-apiserver", groups: []string{"system:masters"}, ips: append(node, net.ParseIP(apiService)), names: names},
		"front-proxy":             {user: "front-proxy"},
		"service-accounts":        {user: "service-accounts"},
		"kubelet":                 {user: "system:node:" + nodeName, groups: []string{"system:nodes"}, ips: node, names: []string{nodeName}},
		"kube-controller-manager": {user: "system:kube-controller-manager"},
		"kube-scheduler":          {user: "system:kube-scheduler"},
		"kube-proxy":              {user: "system:kube-proxy"},
		"coredns":                 {user: "coredns"},
		"netpol":                  {user: "netpol"},
		"admin":                   {user: "admin", groups: []string{"system:masters"}},
	} {
		if err := errors.Join(a.issue(name, who), c.writeKubeconfig(name)); err != nil {
			return err
		}
	}
	admin, err := os.ReadFile(c.config("admin.kubeconfig"))
	if err != nil {
		return err
	}
	return os.WriteFile(c.kubeconfig, admin, 0o600)
}

func (c *Cluster) writeKubeconfig(name string) error {
	values := map[string]string{"Server": apiServer, "User": name}
	for key, file := range map[string]string{"Authority": c.cert("ca"), "Cert": c.cert(name), "Key": c.key(name)} {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		values[key] = base64.StdEncoding.EncodeToString(text)
	}
	text, err := fill("kubeconfig.yaml", values)
	if err != nil {
		return err
	}
	return os.WriteFile(c.config(name+".kubeconfig"), text, 0o600)
}

// sysctls are the settings of the kernel that kubelet and CNI change.
var sysctls = []string{
	"net/ipv4/ip_forward", "vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// network gives the node its address, once it is written down what was before.
func (c *Cluster) network(ctx context.Context) error {
	for _, name := range sysctls {
		if value, err := os.ReadFile("/proc/sys/" + name); err == nil {
			c.state.Sysctls[name] = strings.TrimSpace(string(value))
		}
	}
	if err := c.state.write(c.dir); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"link", "add", bridge, "type", "bridge"},
		{"address", "add", nodeAddress + "/32", "dev", bridge},
		{"link", "set", bridge, "up"},
	} {
		if _, err := run(exec.CommandContext(ctx, "ip", args...)); err != nil {
			return fmt.Errorf("give the node its address: %w", err)
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o600)
}
