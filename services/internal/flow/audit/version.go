package audit

import (
	"slices"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Version is a version of a flow's types, and the place after which it begins.
type Version struct {
	Number uint64
	Begins eventlog.Position
	Types  []string
}

// versionsOf returns the versions of a flow's types, in their order: those that
// the control stream tells of, or else the catalogue's types from the start.
func versionsOf(f flows.Flow, adopted []Version) []Version {
	if len(adopted) > 0 {
		return adopted
	}
	return []Version{{Number: 1, Types: f.Types}}
}

// place returns the place in versions of the one that an event of a type counts
// to, and whether the event is to be delivered: one that stands before the first
// version with its type begins is not. It returns -1 for an event of another type.
func place(versions []Version, kind string, at eventlog.Position) (version int, due bool) {
	version = -1
	for i, v := range versions {
		has := slices.Contains(v.Types, kind)
		if v.Begins.Compare(at) < 0 {
			version, due = -1, false // what an earlier version said is over
			if has {
				version, due = i, true
			}
		} else if has && version < 0 {
			return i, false
		}
	}
	return version, due
}

// Due tells whether an event of a type, at a place, is to be delivered.
func Due(versions []Version, kind string, at eventlog.Position) bool {
	_, due := place(versions, kind, at)
	return due
}
