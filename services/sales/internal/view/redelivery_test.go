package view

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/flow"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// history draws what may happen to a customer, as the other deciders let it:
// requests only move forward, and are in progress twice when the back office has
// them; consent and person only change.
func history(t *rapid.T) (causes []proto.Message) {
	status := map[string]journeyv1.RequestStatus{}
	consent, person := journeyv1.Consent_CONSENT_UNSPECIFIED, 0
	causes = append(causes, &salesv1.CustomerRegistered{CustomerId: "c1", CustomerNumber: "N1"})
	for i := range rapid.IntRange(0, 40).Draw(t, "events") {
		switch rapid.SampledFrom([]int{0, 1, 2, 3, 3, 3, 3, 3}).Draw(t, "kind") {
		case 0:
			causes = append(causes, &salesv1.OrderPlaced{CustomerId: "c1", OrderId: fmt.Sprint(i), AmountCents: int64(i)})
		case 1:
			consent = consent%2 + 1
			causes = append(causes, &salesv1.ConsentChanged{CustomerId: "c1", Consent: consent})
		case 2:
			person = 1 - person
			causes = append(causes, &salesv1.CustomerChanged{CustomerId: "c1", Person: &journeyv1.Person{GivenName: fmt.Sprint("name ", person)}})
		case 3:
			id := rapid.SampledFrom([]string{"r1", "r2"}).Draw(t, "request")
			from, to := status[id], journeyv1.RequestStatus_REQUEST_STATUS_OPEN
			switch from {
			case journeyv1.RequestStatus_REQUEST_STATUS_DONE:
				continue
			case journeyv1.RequestStatus_REQUEST_STATUS_UNSPECIFIED:
				causes = append(causes, &salesv1.RequestOpened{RequestId: id, CustomerId: "c1"})
			default:
				to = journeyv1.RequestStatus(rapid.IntRange(2, 3).Draw(t, "status"))
			}
			status[id] = to
			causes = append(causes, &salesv1.RequestStatusChanged{RequestId: id, CustomerId: "c1", Status: to})
		}
	}
	return causes
}

// customer is one whose view is kept in a log.
type customer struct {
	*rapid.T
	streams  *decider.Streams
	reaction flow.Reaction
}

func newCustomer(t *rapid.T) customer {
	c, err := codec.New(keyring.Memory())
	if err != nil {
		t.Fatal(err)
	}
	streams := &decider.Streams{Log: memory.New(memory.Options{}), Codec: c}
	return customer{t, streams, Consumer(streams).Reactions[0]}
}

// take delivers the i-th cause.
func (c customer) take(i int, message proto.Message) {
	cause := codec.Event{Message: message}
	cause.ID = uuid.NewSHA1(uuid.Nil, fmt.Append(nil, i))
	if !c.reaction.Takes(cause) {
		return
	}
	origin := decider.CauseOrigin(flows.Sales, c.reaction.Name, cause, time.Unix(1_700_000_000, 0))
	if err := c.reaction.Answer(context.Background(), nil, flow.Cause{Event: cause, Origin: origin}); err != nil {
		c.Fatal(err)
	}
}

// answers is the customer's stream: each view, and each cause that changed none.
func (c customer) answers() (all []string) {
	for raw, err := range c.streams.Log.ReadStream(context.Background(), Stream("c1"), eventlog.Forward, 0, 0) {
		if err != nil {
			c.Fatal(err)
		}
		all = append(all, fmt.Sprint(raw.ID, raw.Type))
	}
	return all
}

// view is the last one.
func (c customer) view() *salesv1.CustomerViewChanged {
	s, _, err := decider.Load(context.Background(), c.streams, Stream("c1"), Decider)
	if err != nil {
		c.Fatal(err)
	}
	return s.View
}

// A crash lets causes come again, from any one on, behind what came after them:
// also those that changed nothing then, and would now.
func TestCausesThatComeAgainChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		causes := history(t)
		once, crashed := newCustomer(t), newCustomer(t)
		for i, cause := range causes {
			once.take(i, cause)
			crashed.take(i, cause)
			if back := rapid.IntRange(0, 20).Draw(t, "back"); back <= i {
				for j := i - back; j <= i; j++ {
					crashed.take(j, causes[j])
				}
			}
		}
		without, with := once.answers(), crashed.answers()
		if fmt.Sprint(without) != fmt.Sprint(with) || !proto.Equal(once.view(), crashed.view()) {
			t.Fatalf("%v and %v without a crash, %v and %v with", without, once.view(), with, crashed.view())
		}
	})
}

// What takes passes over would have changed nothing.
func TestWhatIsNoCauseChangesNoView(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Decider.Initial()
		for _, cause := range history(t) {
			answers := Decide(s, "c1", cause)
			if !takes(codec.Event{Message: cause}) && len(answers) > 0 {
				t.Fatalf("%v is passed over, and makes %v", cause, answers)
			}
			for _, view := range answers {
				s = Decider.Evolve(s, view)
			}
		}
	})
}
