package codec

import (
	"encoding/json"
	"fmt"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// What stands for a personal value in a Veiled event.
const (
	veil    = "(sealed)"
	leaking = "(personal, and not sealed: not shown)"
)

// Veiled is what an event says to people who are to know nothing personal.
type Veiled struct {
	Metadata json.RawMessage
	// Data is the event's data with a note in place of each personal value. Fields
	// that the contract does not have are left out: they might be personal.
	Data json.RawMessage
}

// Veil tells what an event says, without a key and without a personal value. It
// fails as Decode does; of data that can't be read nothing is told.
func (c *Codec) Veil(raw eventlog.Event) (v Veiled, err error) {
	md, err := DecodeMetadata(raw.Metadata)
	if err != nil {
		return v, err
	}
	if v.Metadata, err = json.Marshal(md); err != nil {
		return v, fmt.Errorf("write the metadata: %w", err)
	}
	t, event, err := c.decodeSealed(raw)
	if err != nil {
		return v, err
	}
	err = t.plan.replace(event.Message.ProtoReflect(), "", func(_, value string) (string, error) { return veiled(value), nil })
	if err != nil {
		return v, err
	}
	v.Data, err = Canonical(event.Message)
	return v, err
}

func veiled(value string) string {
	if _, err := unwrap(value); err != nil {
		return leaking
	}
	return veil
}
