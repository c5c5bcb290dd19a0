package storage

import (
	"encoding/binary"
	"errors"
)

// The index is an ordered key space of three tables:
//
//	i <stream> <revision>  → the position of the event in the journal
//	h <stream>             → the stream's state (see encodeState)
//	m                      → the position of the last event that is indexed
//
// Numbers in keys are big-endian, so that keys sort as numbers do. In the
// first table the stream's name is preceded by its length: no name is then a
// prefix of another one's keys.
const (
	indexTable = 'i'
	headTable  = 'h'
	markTable  = 'm'
)

const positionLen = 8

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

func encodePosition(position uint64) []byte {
	return binary.BigEndian.AppendUint64(nil, position)
}

var errMalformedPosition = errors.New("a position in the index is malformed")

func decodePosition(value []byte) (uint64, error) {
	if len(value) != positionLen {
		return 0, errMalformedPosition
	}
	return binary.BigEndian.Uint64(value), nil
}
