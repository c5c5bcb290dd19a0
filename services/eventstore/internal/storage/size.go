package storage

import "fmt"

// Size is what a store takes on its disk, in bytes.
type Size struct{ Journal, Index uint64 }

// Size returns what the store takes on its disk now. It fails when the store is
// closing, or its disk has failed.
func (s *Store) Size() (Size, error) {
	view, err := s.View() // as long as it is held nothing is closed
	if err != nil {
		return Size{}, err
	}
	defer view.Release()
	journal, err := s.log.Size()
	if err != nil {
		return Size{}, fmt.Errorf("measure the journal: %w", err)
	}
	return Size{Journal: journal, Index: s.index.db.Metrics().DiskSpaceUsage()}, nil
}
