package codec_test

import (
	"strings"
	"testing"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// Who has no keys reads whom an event is about, and none of what is personal.
func TestASealedEventIsReadWithoutKeys(t *testing.T) {
	written := customer()
	event := mustEncode(t, newCodec(t, keyring.Memory()), written)
	read, err := newCodec(t, nil).DecodeSealed(event)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := read.Message.(*salesv1.CustomerRegistered)
	if !ok || got.GetCustomerId() != written.GetCustomerId() || read.Metadata.SealedFor == "" {
		t.Errorf("read %v, want the event of %s", read.Message, written.GetCustomerId())
	}
	if surname := got.GetPerson().GetSurname(); !strings.HasPrefix(surname, "sealed:") {
		t.Errorf("the surname reads %q, want it sealed", surname)
	}
}
