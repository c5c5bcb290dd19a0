//go:build cgo

package storage

// CachesOnHeap says that the storage engine's caches are on Go's heap: with C at hand
// they are not.
const CachesOnHeap = false
