package contact_test

import (
	"google.golang.org/protobuf/proto"

	"github.com/triangle-suite/triangle/services/channel/internal/contact"
)

// decision is a command of a contact.
type decision interface {
	Decide(contact.State) ([]proto.Message, error)
}
