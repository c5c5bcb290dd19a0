package server

import (
	"bytes"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/triangle-suite/triangle/services/eventstore/internal/storage"
)

func TestAProposalReadsAsItsStructs(t *testing.T) { rapid.Check(t, decodesAsStructs) }

func FuzzDecodeClientsProposal(f *testing.F) { f.Fuzz(rapid.MakeFuzz(decodesAsStructs)) }

// decodesAsStructs proposes events such as clients do: none of them may take
// the general way, and each must say what it says there.
func decodesAsStructs(t *rapid.T) {
	var p proposal // is received into again, as it is in an append
	for range rapid.IntRange(1, 3).Draw(t, "events") {
		form := anyForm.Draw(t, "form")
		message := &streams.AppendReq_ProposedMessage{
			Id: form.wire(anyID.Draw(t, "id")),
			Metadata: map[string]string{
				keyType:        rapid.StringN(1, 20, 200).Draw(t, "type"),
				keyContentType: rapid.SampledFrom([]string{contentJSON, contentBinary, "text/plain"}).Draw(t, "content type"),
			},
			CustomMetadata: anyBytes.Draw(t, "metadata"),
			Data:           anyBytes.Draw(t, "data"),
		}
		if rapid.Bool().Draw(t, "more metadata") {
			message.Metadata[rapid.String().Draw(t, "key")] = rapid.String().Draw(t, "value")
		}
		b := wireProposal(message)
		if message.Metadata[keyType] != "" && message.Metadata[keyContentType] != "" && !new(proposal).usual(b) {
			t.Fatalf("%v takes the general way", message)
		}
		decodesAsGeneral(t, &p, b)
	}
}

func wireProposal(message *streams.AppendReq_ProposedMessage) []byte {
	return mustMarshal(&streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: message}})
}

func mustMarshal(message proto.Message) []byte {
	b, err := proto.Marshal(message)
	if err != nil {
		panic(err)
	}
	return b
}

// tester is what a test and a property have in common.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// decodesAsGeneral compares what p makes of b with what the structs make of it.
func decodesAsGeneral(t tester, p *proposal, b []byte) {
	t.Helper()
	want, wantErr := decodeGeneral(b)
	mine := bytes.Clone(b)
	err := p.unmarshal(mine)
	var got storage.NewEvent
	if err == nil {
		got, err = p.proposed()
	}
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%x gives %v for %v", b, err, wantErr)
	}
	if err != nil {
		return
	}
	clear(mine) // goes back to its pool
	a, w := storage.Event{NewEvent: got}, storage.Event{NewEvent: want}
	if !a.Equal(&w) {
		t.Fatalf("%x reads as %+v, not %+v", b, got, want)
	}
}

func decodeGeneral(b []byte) (storage.NewEvent, error) {
	message := &streams.AppendReq{}
	if err := proto.Unmarshal(b, message); err != nil {
		return storage.NewEvent{}, err
	}
	return proposedEvent(message.GetProposedMessage())
}

// FuzzDecodeProposal takes any bytes.
func FuzzDecodeProposal(f *testing.F) {
	for _, b := range unusualProposals() {
		f.Add(b)
	}
	f.Add(wireProposal(usualProposal()))
	f.Fuzz(func(t *testing.T, b []byte) { decodesAsGeneral(t, new(proposal), b) })
}

func usualProposal() *streams.AppendReq_ProposedMessage {
	return &streams.AppendReq_ProposedMessage{
		Id:             structured.wire(uuid.UUID{0: 1, 15: 2}),
		Metadata:       map[string]string{keyType: "t", keyContentType: contentJSON},
		CustomMetadata: []byte("m"),
		Data:           []byte("d"),
	}
}

// unusualProposals are messages whose meaning is easily got wrong.
func unusualProposals() map[string][]byte {
	change := func(f func(*streams.AppendReq_ProposedMessage)) []byte {
		message := usualProposal()
		f(message)
		return wireProposal(message)
	}
	// inner puts fields behind the ones of that number, where they are in order.
	inner := func(number protowire.Number, fields ...[]byte) []byte {
		var body []byte
		for part := number; part > 0; part-- {
			body = append(usualParts()[part], body...)
		}
		body = append(body, bytes.Join(fields, nil)...)
		for part := number + 1; part <= proposalData; part++ {
			body = append(body, usualParts()[part]...)
		}
		return appendBytes(nil, reqProposal, body)
	}
	withID := func(id []byte) []byte {
		parts := usualParts()
		parts[proposalID] = appendBytes(nil, proposalID, id)
		return appendBytes(nil, reqProposal, bytes.Join([][]byte{parts[proposalID], parts[proposalSystem], parts[proposalMetadata], parts[proposalData]}, nil))
	}
	textID := mustMarshal(textual.wire(uuid.UUID{7: 7}))
	half := appendBytes(nil, uuidStructured, appendNumber(nil, uuidLeast, 9))
	return map[string][]byte{
		"nothing":                                  nil,
		"options":                                  mustMarshal(&streams.AppendReq{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{}}}),
		"no id":                                    change(func(m *streams.AppendReq_ProposedMessage) { m.Id = nil }),
		"an id without a value":                    change(func(m *streams.AppendReq_ProposedMessage) { m.Id = &shared.UUID{} }),
		"the nil id":                               change(func(m *streams.AppendReq_ProposedMessage) { m.Id = structured.wire(uuid.Nil) }),
		"an id in braces":                          change(func(m *streams.AppendReq_ProposedMessage) { m.Id = textualID("{00000000-0000-0000-0000-000000000001}") }),
		"an id without dashes":                     change(func(m *streams.AppendReq_ProposedMessage) { m.Id = textualID("00000000000000000000000000000001") }),
		"an id in what is not UTF-8":               withID(appendBytes(nil, uuidString, []byte("\xff00000000-0000-0000-0000-000000000001\xff"))),
		"an id that is none":                       change(func(m *streams.AppendReq_ProposedMessage) { m.Id = textualID("x") }),
		"no type":                                  change(func(m *streams.AppendReq_ProposedMessage) { delete(m.Metadata, keyType) }),
		"an empty type":                            change(func(m *streams.AppendReq_ProposedMessage) { m.Metadata[keyType] = "" }),
		"no content type":                          change(func(m *streams.AppendReq_ProposedMessage) { delete(m.Metadata, keyContentType) }),
		"two ids, the second counts":               inner(proposalID, appendBytes(nil, proposalID, textID)),
		"two ids that merge":                       inner(proposalID, appendBytes(nil, proposalID, half)),
		"two types, the second counts":             inner(proposalSystem, entry(keyType, "second")),
		"a type that is then emptied":              inner(proposalSystem, entry(keyType, "")),
		"a type that is not UTF-8":                 inner(proposalSystem, entry(keyType, "\xff")),
		"a key that is not UTF-8":                  inner(proposalSystem, entry("\xff", "v")),
		"an entry without a value":                 inner(proposalSystem, appendBytes(nil, proposalSystem, appendBytes(nil, entryKey, []byte(keyType)))),
		"an empty entry":                           inner(proposalSystem, appendHead(nil, proposalSystem, 0)),
		"two metadata":                             inner(proposalMetadata, appendBytes(nil, proposalMetadata, []byte("second"))),
		"a value of another key that is not UTF-8": inner(proposalSystem, entry("k", "\xff")),
		"an entry with more to it":                 inner(proposalSystem, appendBytes(nil, proposalSystem, append(entry(keyType, "second")[2:], 0x18, 0x01))),
		"an entry with two values":                 inner(proposalSystem, appendBytes(nil, proposalSystem, append(entry(keyType, "second")[2:], appendBytes(nil, entryValue, []byte("third"))...))),
		"an id with two halves and more":           withID(appendBytes(nil, uuidStructured, append(appendNumber(appendNumber(nil, uuidMost, 3), uuidLeast, 4), appendNumber(nil, uuidMost, 5)...))),
		"two data":                                 inner(proposalData, appendBytes(nil, proposalData, []byte("second"))),
		"data of another kind":                     inner(proposalData, appendNumber(nil, proposalData, 5)),
		"metadata after data":                      inner(proposalData, appendBytes(nil, proposalMetadata, []byte("second"))),
		"an unknown field":                         inner(proposalData, appendBytes(nil, 9, []byte("?"))),
		"a field numbered 0":                       inner(proposalData, []byte{0x02, 0x00}),
		"a group":                                  inner(proposalData, protowire.AppendTag(nil, 9, protowire.StartGroupType), protowire.AppendTag(nil, 9, protowire.EndGroupType)),
		"a group without an end":                   inner(proposalData, protowire.AppendTag(nil, 9, protowire.StartGroupType)),
		"a length beyond the end":                  inner(proposalData, []byte{0x22, 0x7f, 0x00}),
		"two proposals that merge":                 append(wireProposal(usualProposal()), appendBytes(nil, reqProposal, appendBytes(nil, proposalData, []byte("second")))...),
		"a proposal, then options":                 append(wireProposal(usualProposal()), appendHead(nil, 1, 0)...),
		"a broken end":                             append(wireProposal(usualProposal()), 0x80),
	}
}

// usualParts are the fields of the usual proposal, each by its number.
func usualParts() map[protowire.Number][]byte {
	m := usualProposal()
	return map[protowire.Number][]byte{
		proposalID:       appendBytes(nil, proposalID, mustMarshal(m.GetId())),
		proposalSystem:   append(entry(keyType, m.GetMetadata()[keyType]), entry(keyContentType, m.GetMetadata()[keyContentType])...),
		proposalMetadata: appendBytes(nil, proposalMetadata, m.GetCustomMetadata()),
		proposalData:     appendBytes(nil, proposalData, m.GetData()),
	}
}

func entry(key, value string) []byte {
	return appendBytes(nil, proposalSystem, append(appendBytes(nil, entryKey, []byte(key)), appendBytes(nil, entryValue, []byte(value))...))
}

func textualID(s string) *shared.UUID {
	return &shared.UUID{Value: &shared.UUID_String_{String_: s}}
}

func TestAnUnusualProposalMeansWhatTheStructsSay(t *testing.T) {
	for name, b := range unusualProposals() {
		t.Run(name, func(t *testing.T) {
			var p proposal
			decodesAsGeneral(t, &p, b)
			decodesAsGeneral(t, &p, wireProposal(usualProposal())) // nothing stays behind
		})
	}
}

func TestDecodingAProposalAllocatesItsPayload(t *testing.T) {
	b := wireProposal(usualProposal())
	var p proposal
	allocations := testing.AllocsPerRun(100, func() {
		if err := p.unmarshal(b); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 1 {
		t.Errorf("%v allocations an event", allocations)
	}
}
