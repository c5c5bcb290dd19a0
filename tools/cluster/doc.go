// Package cluster runs a Kubernetes of one node on this machine, for tests and for
// whoever wants to try something on one. It needs root, and no container engine, no
// registry and no images from outside: the parts of Kubernetes are programs that
// make builds, containerd and what it needs are the system's.
//
//	c, err := cluster.Start(ctx, cluster.Options{Log: os.Stderr})
//	defer c.Stop(ctx)
//	err = c.Load(ctx, "bin/images/channel-support.tar")
//	out, err := c.Kubectl(ctx, nil, "get", "pods", "--all-namespaces")
//
// What it consists of, each a process of this machine that logs to a file:
//
//	etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet
//	kube-proxy     service addresses, by nftables
//	coredns        names of services, at 10.213.0.1 and so at 10.96.0.10
//	netpol         NetworkPolicies, by nftables, where Options ask for it
//	containerd     in a folder and with a socket of its own, beside any other one
//
// The node's address is on a bridge of its own. Pods have one interface each, routed
// by this machine (CNI's ptp and host-local), so that its nftables see what they send
// each other. Volumes are folders that are there from the start (StorageClass local, the
// default): each is given out once.
//
// There is one such cluster on a machine at a time: service addresses are kept in the
// kernel's tables, of which there is one. Stop takes away all that it has made.
package cluster
