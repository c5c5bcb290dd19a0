// Package journal keeps records on the disk, one after the other, each found
// by its position.
//
// A journal is a folder of chunks. The last chunk is written to: it is filled
// with zeros before it is used, so that a sync has no file size to write. A
// chunk that is full is never written to again; it may be replaced, as a
// whole, by a packed one that holds less.
//
//	00000000000000000000.log   [header][frame][frame]…[zeros]
//	00000000000001048576.log   [header][frame]…
//
// A record is in a frame, which carries its checksum and its position. In a
// chunk as it was written, the position is the chunk's own plus the frame's
// offset; in a packed chunk frames have moved up, and kept their positions.
//
// Frames are written in groups, one group a sync, and a group is begun only
// when the one before it is durable. So bytes that are no frame, where frames
// should go on, tell how they came about: if a later group follows them,
// something that was durable was damaged, and the journal does not open; if
// not, the last write was cut short, nobody was told that it is durable, and
// it is cut off (and kept in a file of its own, since who knows). Closing a
// journal writes a mark, which is a later group to all records.
package journal
