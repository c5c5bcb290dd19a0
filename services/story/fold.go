package story

import (
	"bytes"
	"strings"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// fold makes a story of the log's events, which it is shown in their order. It reads
// nothing by itself.
type fold struct {
	story   Story
	codec   *codec.Codec
	streams map[string]bool       // those of the contact's requests
	known   map[string]*Happening // by the event's id
	ways    ways
}

// newFold begins the story of a contact.
func newFold(c *codec.Codec, contact string) *fold {
	return &fold{
		story: Story{Contact: contact}, codec: c,
		streams: map[string]bool{},
		known:   map[string]*Happening{}, ways: newWays(),
	}
}

func contactStream(contact string) string { return "contact-" + contact }

// see takes an event in, if it belongs to the story.
func (f *fold) see(e eventlog.Event) {
	if f.story.Read == 0 {
		f.story.From = e.Position
	}
	f.story.Read++
	f.story.To = e.Position
	if strings.HasPrefix(e.Type, "flow.") && f.ways.see(f.codec, e) {
		return
	}
	cause := f.causeOf(e)
	if cause == nil && !f.owns(e.Stream) && !f.isNamed(e) {
		if isOpaque(e) {
			f.story.Opaque++
		}
		return
	}
	f.add(f.happening(e), cause)
}

// owns tells whether a stream is about the contact, or about one of its requests.
func (f *fold) owns(stream string) bool {
	return strings.HasSuffix(stream, "-"+f.story.Contact) || f.streams[stream]
}

// isNamed tells whether an event says that it is about the contact, such as an order
// that somebody has placed in it.
func (f *fold) isNamed(e eventlog.Event) bool {
	if !bytes.Contains(e.Data, []byte(f.story.Contact)) {
		return false
	}
	decoded, err := f.codec.DecodeSealed(e)
	if err != nil {
		return false
	}
	m, ok := decoded.Message.(interface{ GetContactId() string })
	return ok && m.GetContactId() == f.story.Contact
}

// causeOf is the event of the story that an event names as its cause; nil when it
// names none of them.
func (f *fold) causeOf(e eventlog.Event) *Happening {
	if id := causationOf(e.Metadata); id != nil {
		return f.known[string(id)]
	}
	return nil
}

// causation is what the id of a cause follows in an event's metadata.
var causation = []byte(`"$causationId"`)

// causationOf finds the id of the cause in an event's metadata, without reading the
// rest: this is done with each event of the log.
func causationOf(metadata []byte) []byte {
	i := bytes.Index(metadata, causation)
	if i < 0 {
		return nil
	}
	rest := bytes.TrimLeft(metadata[i+len(causation):], " :\t\n\r")
	if len(rest) == 0 || rest[0] != '"' {
		return nil
	}
	id, _, found := bytes.Cut(rest[1:], []byte(`"`))
	if !found {
		return nil
	}
	return id
}

// isOpaque tells whether an event of ours has metadata that can't be JSON, or none.
func isOpaque(e eventlog.Event) bool {
	service, _, _ := strings.Cut(e.Type, ".")
	m := bytes.TrimSpace(e.Metadata)
	return isService(service) && (!bytes.HasPrefix(m, []byte("{")) || !bytes.HasSuffix(m, []byte("}")))
}

func isService(name string) bool {
	for _, s := range flows.Services {
		if string(s) == name {
			return true
		}
	}
	return false
}

// happening reads an event.
func (f *fold) happening(e eventlog.Event) *Happening {
	h := &Happening{
		ID: e.ID.String(), Type: e.Type, Stream: e.Stream, Revision: e.Revision, Position: e.Position, At: e.Created, Words: words(e.Type),
	}
	md, err := codec.DecodeMetadata(e.Metadata)
	switch {
	case err != nil:
		h.Problem = "its metadata can't be read: who wrote it, and what caused it, is not known"
	case len(e.Metadata) == 0:
		h.Problem = "it has no metadata: who wrote it, and what caused it, is not known"
	default:
		h.from(md)
	}
	f.read(h, e)
	return h
}

// from takes over what the metadata says.
func (h *Happening) from(md codec.Metadata) {
	h.Service = strings.TrimPrefix(md.Source, codec.Source(""))
	h.Trace, h.Correlation, h.Cause, h.causePosition = md.TraceID, md.CorrelationID, md.CausationID, md.CausePosition
	if rest, ok := strings.CutPrefix(md.Origin, "reaction:"); ok {
		h.Handler, _, _ = strings.Cut(rest, ":")
	}
}

// read tells what the event says.
func (f *fold) read(h *Happening, e eventlog.Event) {
	decoded, err := f.codec.DecodeSealed(e)
	if err == nil {
		var veiled codec.Veiled
		if veiled, err = f.codec.Veil(e); err == nil {
			h.Facts, h.Sealed = factsOf(decoded.Message, f.story.Contact)
			h.Data = veiled.Data
		}
	}
	if err != nil && h.Problem == "" {
		h.Problem = "what it says can't be read by this build (" + err.Error() + "): run the triangle of the release that wrote it"
	}
	if err == nil {
		f.opens(decoded)
	}
}

// opens follows the stream of a request that the contact makes.
func (f *fold) opens(e codec.Event) {
	if e.Type != "channel.RequestSubmitted" {
		return
	}
	if m, ok := e.Message.(interface{ GetRequestId() string }); ok && m.GetRequestId() != "" {
		f.streams["request-"+m.GetRequestId()] = true
	}
}

// add hangs an event below its cause, or, where that is unknown, beside it.
func (f *fold) add(h, cause *Happening) {
	if f.known[h.ID] != nil && h.Problem == "" {
		h.Problem = "an event of this id was there before"
	}
	if f.known[h.ID] == nil {
		f.known[h.ID] = h
		f.ways.expect(h)
	}
	if cause == nil {
		f.story.Events = append(f.story.Events, h)
		return
	}
	hop := h.At.Sub(cause.At)
	h.Hop = &hop
	cause.Answers = append(cause.Answers, h)
	for _, d := range cause.Deliveries {
		d.Answered = d.Answered || h.Handler != "" && string(d.To) == h.Service
	}
}
