// Command coredns is CoreDNS with the plugins that the names of one cluster take: all
// that there are would bring every cloud's own library along.
package main

import (
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"       // answers at one address
	_ "github.com/coredns/coredns/plugin/errors"     // tells of what it could not answer
	_ "github.com/coredns/coredns/plugin/forward"    // knows who knows other names
	_ "github.com/coredns/coredns/plugin/kubernetes" // knows the cluster's
)

func main() { coremain.Run() }
