//go:build !cgo

package storage

// CachesOnHeap says that the storage engine's caches are on Go's heap, as they are in
// what we release.
const CachesOnHeap = true
