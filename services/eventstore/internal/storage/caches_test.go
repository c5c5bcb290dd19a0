package storage

// CacheBytes is how much the storage engine's caches hold, of which options bound the
// size.
func (s *Store) CacheBytes() int64 {
	m := s.index.db.Metrics()
	return m.BlockCache.Size + int64(m.MemTable.Size+m.MemTable.ZombieSize)
}
