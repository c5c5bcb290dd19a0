package cluster

import (
	"os/exec"
)

// Where things are. The bridge carries the node's address and nothing else.
const (
	bridge       = "triangle0"
	nodeName     = "triangle"
	nodeAddress  = "10.213.0.1"
	podRange     = "10.213.1.0/24"
	serviceRange = "10.96.0.0/16"
	apiService   = "10.96.0.1"
	dnsService   = "10.96.0.10"
	dnsZone      = "cluster.local"
	apiServer    = "https://" + nodeAddress + ":6443"
	etcdServer   = "https://" + nodeAddress + ":2379"
)

// part is a program of the cluster.
type part struct {
	name   string
	args   []string
	system bool // it is the machine's, not one that make builds
}

func (p part) find(c *Cluster) (string, error) {
	if p.system {
		return exec.LookPath(p.name)
	}
	return c.program(p.name)
}

// store is what the API server needs before it starts.
func (c *Cluster) store() []part {
	return []part{{name: "etcd", args: []string{
		"--data-dir=" + c.path("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=" + etcdServer, "--advertise-client-urls=" + etcdServer,
		"--listen-peer-urls=http://" + nodeAddress + ":2380", "--initial-advertise-peer-urls=http://" + nodeAddress + ":2380",
		"--initial-cluster=default=http://" + nodeAddress + ":2380",
		"--client-cert-auth", "--trusted-ca-file=" + c.cert("ca"), "--cert-file=" + c.cert("etcd"), "--key-file=" + c.key("etcd"),
	}}, {name: "containerd", system: true, args: []string{"--config", c.config("containerd.toml")}}, {name: "kube-apiserver", args: []string{
		"--etcd-servers=" + etcdServer, "--etcd-cafile=" + c.cert("ca"), "--etcd-certfile=" + c.cert("etcd"), "--etcd-keyfile=" + c.key("etcd"),
		"--bind-address=" + nodeAddress, "--advertise-address=" + nodeAddress, "--secure-port=6443",
		"--tls-cert-file=" + c.cert("kube-apiserver"), "--tls-private-key-file=" + c.key("kube-apiserver"),
		"--client-ca-file=" + c.cert("ca"), "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--allow-privileged", "--service-cluster-ip-range=" + serviceRange,
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + c.config("service-accounts.pub"),
		"--service-account-signing-key-file=" + c.key("service-accounts"),
		"--kubelet-client-certificate=" + c.cert("kube-apiserver"), "--kubelet-client-key=" + c.key("kube-apiserver"),
		"--kubelet-preferred-address-types=InternalIP",
		// What an aggregated API, such as the metrics of pods, knows a caller by.
		"--requestheader-client-ca-file=" + c.cert("ca"), "--requestheader-allowed-names=front-proxy",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + c.cert("front-proxy"), "--proxy-client-key-file=" + c.key("front-proxy"),
	}}}
}

// rest is what needs the API server.
func (c *Cluster) rest() []part {
	parts := []part{{name: "kube-controller-manager", args: append(
		c.client("kube-controller-manager"), "--use-service-account-credentials",
		"--service-account-private-key-file="+c.key("service-accounts"), "--root-ca-file="+c.cert("ca"),
		"--cluster-signing-cert-file="+c.cert("ca"), "--cluster-signing-key-file="+c.key("ca"),
		"--requestheader-client-ca-file="+c.cert("ca"), "--allocate-node-cidrs=false",
	)}, {name: "kube-scheduler", args: append(
		c.client("kube-scheduler"), "--requestheader-client-ca-file="+c.cert("ca"),
	)}, {name: "kubelet", args: []string{
		"--config=" + c.config("kubelet.yaml"), "--kubeconfig=" + c.config("kubelet.kubeconfig"),
		"--root-dir=" + c.path("kubelet"), "--hostname-override=" + nodeName, "--node-ip=" + nodeAddress,
	}}, {name: "kube-proxy", args: []string{
		"--kubeconfig=" + c.config("kube-proxy.kubeconfig"), "--proxy-mode=nftables", "--cluster-cidr=" + podRange,
		"--hostname-override=" + nodeName, "--bind-address=" + nodeAddress,
		"--healthz-bind-address=" + nodeAddress + ":10256", "--metrics-bind-address=" + nodeAddress + ":10249",
		// The machine's own limits stay.
		"--conntrack-max-per-core=0", "--conntrack-min=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
	}}, {name: "coredns", args: []string{"-conf", c.config("Corefile")}}}
	if c.policies == Enforced {
		parts = append(parts, part{name: "netpol", args: []string{"--kubeconfig=" + c.config("netpol.kubeconfig"), "--name-server=" + nodeAddress}})
	}
	return parts
}

// client are the flags of those that the API server authenticates for.
func (c *Cluster) client(name string) []string {
	kubeconfig := c.config(name + ".kubeconfig")
	return []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=" + nodeAddress, "--leader-elect=false", "--client-ca-file=" + c.cert("ca"),
	}
}

func (c *Cluster) config(name string) string { return c.path("config", name) }
func (c *Cluster) cert(name string) string   { return c.config(name + ".crt") }
func (c *Cluster) key(name string) string    { return c.config(name + ".key") }
