package journal

import (
	"errors"
	"fmt"
)

// ErrDamaged says that something which was durable is not what was written.
var ErrDamaged = errors.New("the journal is damaged")

// Damage is an ErrDamaged that says where.
type Damage struct {
	File     string // name within the journal's folder
	Offset   int64  // in the file, of the first byte that is not as it was
	Position uint64 // of the first record that may be missing
	What     string
}

// Error implements error.
func (d *Damage) Error() string {
	return fmt.Sprintf("%v: %s, offset %d (position %d): %s", ErrDamaged, d.File, d.Offset, d.Position, d.What)
}

// Is makes a Damage an ErrDamaged.
func (d *Damage) Is(target error) bool { return target == ErrDamaged }
