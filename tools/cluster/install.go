package cluster

import "github.com/triangle-suite/triangle/tools/packages"

// needs are the packages of Debian that run containers.
var needs = []packages.Need{
	{Package: "containerd", File: "containerd"},
	{Package: "containerd", File: "ctr"},
	{Package: "runc", File: "runc"},
	{Package: "containernetworking-plugins", File: "/usr/lib/cni/ptp"},
	{Package: "containernetworking-plugins", File: "/usr/lib/cni/host-local"},
	{Package: "nftables", File: "nft"},
	{Package: "iproute2", File: "ip"},
	{Package: "mount", File: "mount"},
}
