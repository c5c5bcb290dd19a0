package supervise

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Free ports are taken from below the ones that operating systems hand out for
// outgoing connections, so that no connection takes a port while its child is
// being started again.
const (
	lowestPort  = 20_000
	highestPort = 32_000
	portTries   = 1_000
)

// FreeAddrs returns addresses of the loopback interface with ports that nobody
// listens on.
func FreeAddrs(ctx context.Context, count int) ([]string, error) {
	var held []net.Listener // until all are found, so that none is found twice
	defer func() {
		for _, l := range held {
			_ = l.Close() // nobody has used it
		}
	}()
	var addrs []string
	for range portTries {
		if len(addrs) == count {
			return addrs, nil
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(lowestPort+rand.IntN(highestPort-lowestPort)))
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil {
			continue
		}
		held, addrs = append(held, l), append(addrs, addr)
	}
	return nil, fmt.Errorf("found %d of %d free ports from %d to %d", len(addrs), count, lowestPort, highestPort)
}
