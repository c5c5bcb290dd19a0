package view

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
)

// history draws what may happen to a customer, as the other deciders let it:
// requests only move forward, consent and person only change.
func history(t *rapid.T) (causes []proto.Message) {
	status := map[string]journeyv1.RequestStatus{}
	consent, person := journeyv1.Consent_CONSENT_UNSPECIFIED, 0
	causes = append(causes, &salesv1.CustomerRegistered{CustomerId: "c1", CustomerNumber: "N1"})
	for i := range rapid.IntRange(0, 20).Draw(t, "events") {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
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
			to := max(status[id]+1, journeyv1.RequestStatus(rapid.IntRange(1, 3).Draw(t, "status")))
			if to > journeyv1.RequestStatus_REQUEST_STATUS_DONE {
				continue
			}
			if status[id] == 0 {
				causes = append(causes, &salesv1.RequestOpened{RequestId: id, CustomerId: "c1"})
			}
			status[id] = to
			causes = append(causes, &salesv1.RequestStatusChanged{RequestId: id, CustomerId: "c1", Status: to})
		}
	}
	return causes
}

// stream is a view's stream, which knows which causes it has answered.
type stream struct {
	views    []*salesv1.CustomerViewChanged
	answered map[int]bool
}

func (s *stream) take(t *rapid.T, i int, cause proto.Message) {
	if s.answered[i] {
		return // the first answer stands
	}
	state := Decider.Initial()
	for _, view := range s.views {
		state = Decider.Evolve(state, view)
	}
	for _, event := range Decide(state, "c1", cause) {
		view, ok := event.(*salesv1.CustomerViewChanged)
		if !ok {
			t.Fatalf("decided %T", event)
		}
		s.views = append(s.views, view)
		s.answered[i] = true
	}
}

// A crash lets causes come again, from any one on, behind what came after them.
// Those that were answered are recognised; those that changed nothing must change
// nothing again.
func TestCausesThatComeAgainChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		causes := history(t)
		once, crashed := &stream{answered: map[int]bool{}}, &stream{answered: map[int]bool{}}
		for i, cause := range causes {
			once.take(t, i, cause)
			crashed.take(t, i, cause)
			if back := rapid.IntRange(0, 5).Draw(t, "back"); back <= i {
				for j := i - back; j <= i; j++ {
					crashed.take(t, j, causes[j])
				}
			}
		}
		if len(once.views) != len(crashed.views) {
			t.Fatalf("%d views without a crash, %d with", len(once.views), len(crashed.views))
		}
		for i := range once.views {
			if !proto.Equal(once.views[i], crashed.views[i]) {
				t.Fatalf("view %d is %v without a crash, %v with", i, once.views[i], crashed.views[i])
			}
		}
	})
}
