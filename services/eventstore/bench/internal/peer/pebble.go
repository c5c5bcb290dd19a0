package peer

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Pebble is bare pebble: each event one key, synced; it neither orders nor
// checks what it writes.
type Pebble struct {
	db   *pebble.DB
	keys []uint64 // each writer's next
}

// quiet is pebble's logger without what is no trouble.
type quiet struct{ pebble.Logger }

// Infof implements pebble.Logger.
func (quiet) Infof(string, ...any) {}

// OpenPebble opens pebble in folder dir, for so many writers. Its memory table
// is sixteen times the default, so that it flushes little while measured.
func OpenPebble(dir string, writers int) (*Pebble, error) {
	db, err := pebble.Open(dir, &pebble.Options{MemTableSize: 64 << 20, Logger: quiet{pebble.DefaultLogger}})
	if err != nil {
		return nil, fmt.Errorf("open pebble: %w", err)
	}
	return &Pebble{db: db, keys: make([]uint64, writers)}, nil
}

// Append writes one event of a writer.
func (p *Pebble) Append(writer int) error {
	key := binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(writer))
	key = binary.BigEndian.AppendUint64(key, p.keys[writer])
	p.keys[writer]++
	return p.db.Set(key, Payload, pebble.Sync)
}

// Close closes it.
func (p *Pebble) Close() error { return p.db.Close() }
