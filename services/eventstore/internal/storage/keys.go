package storage

import (
	"encoding/binary"
	"errors"
)

// The store keeps three tables in one ordered key space:
//
//	e <position>           → the event at that place of $all
//	i <stream> <revision>  → its position
//	h <stream>             → the stream's state (see encodeState)
//
// Numbers in keys are big-endian, so that keys sort as numbers do. In the
// index the stream's name is preceded by its length: no name is then a prefix
// of another one's keys.
const (
	eventTable = 'e'
	indexTable = 'i'
	headTable  = 'h'
)

const (
	eventKeyLen = 1 + 8
	positionLen = 8
)

func eventKey(position uint64) []byte {
	return putEventKey(make([]byte, eventKeyLen), position)
}

func putEventKey(key []byte, position uint64) []byte {
	key[0] = eventTable
	binary.BigEndian.PutUint64(key[1:], position)
	return key
}

func headKey(name string) []byte {
	return append(append(make([]byte, 0, 1+len(name)), headTable), name...)
}

// indexPrefix is what all index keys of a stream begin with.
func indexPrefix(name string) []byte {
	key := make([]byte, 0, 1+binary.MaxVarintLen64+len(name)+8)
	key = append(key, indexTable)
	key = binary.AppendUvarint(key, uint64(len(name)))
	return append(key, name...)
}

func indexKey(name string, revision int64) []byte {
	return binary.BigEndian.AppendUint64(indexPrefix(name), uint64(revision))
}

var errMalformedPosition = errors.New("a position in the index is malformed")

func decodePosition(value []byte) (uint64, error) {
	if len(value) != positionLen {
		return 0, errMalformedPosition
	}
	return binary.BigEndian.Uint64(value), nil
}
