// Package peer runs what the event store is measured against, each set to have
// an event on the disk before it answers: like is compared with like only.
package peer

import (
	"bytes"
	"fmt"
)

// Payload is an event's data in every measurement: 256 bytes of JSON.
var Payload = fmt.Appendf(nil, `{"padding":%q}`, bytes.Repeat([]byte{'x'}, 256-len(`{"padding":""}`)))
