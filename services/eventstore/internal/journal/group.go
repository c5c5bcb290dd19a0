package journal

// Place is where in the journal the next frame goes, as the one who fills
// groups keeps it. The zero Place is that of an empty journal's beginning.
type Place struct {
	base     uint64 // of the chunk
	capacity uint64 // bytes of the chunk's file
	salt     uint32 // of the chunk
	next     uint64 // position of the next frame
}

// Group is a run of frames that is written and made durable at once. It lies
// in one chunk.
type Group struct {
	place  Place
	start  uint64
	buf    []byte
	events uint64 // position of the last record, 0 when there is none
}

// Reset makes g an empty group at place p; it keeps its memory.
func (g *Group) Reset(p Place) {
	g.place, g.start, g.buf, g.events = p, p.next, g.buf[:0], 0
}

// Len is how many bytes the group holds.
func (g *Group) Len() int { return len(g.buf) }

// Place is where the frame after the group goes.
func (g *Group) Place() Place {
	p := g.place
	p.next = g.start + uint64(len(g.buf))
	return p
}

// Fits tells whether size more bytes, and a mark, fit into the group's chunk.
func (g *Group) Fits(size int) bool {
	return g.start+uint64(len(g.buf)+size+FrameSize(0)) <= g.place.base+g.place.capacity
}

// Read returns the record at a position of the group.
func (g *Group) Read(position uint64) ([]byte, bool) {
	if position < g.start || position >= g.start+uint64(len(g.buf)) {
		return nil, false
	}
	f, _, err := decodeFrame(g.buf[position-g.start:], g.place.salt)
	return f.payload, err == nil && f.kind != mark
}

// Begin begins a frame: the caller appends the record to what it returns and
// hands it to End.
func (g *Group) Begin() []byte {
	return append(g.buf, make([]byte, frameHeader)...)
}

// End ends the frame that Begin began, and returns its position. last is false
// when the next record belongs to this one, such that either all of them are
// kept or none.
func (g *Group) End(buf []byte, last bool) uint64 {
	k := inner
	if last {
		k = final
	}
	g.events = g.end(buf, k)
	return g.events
}

func (g *Group) end(buf []byte, k kind) uint64 {
	begin := len(g.buf)
	position := g.start + uint64(begin)
	putHeader(buf[begin:], g.place.salt, position, uint32(begin), k)
	for len(buf)%frameAlign != 0 {
		buf = append(buf, 0)
	}
	g.buf = buf
	return position
}

func (g *Group) mark() { g.end(g.Begin(), mark) }
