package e2e

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
)

// told is what triangle trace tells of an event.
type told struct {
	Type    string
	Service string
	Handler string
	After   *float64 `json:"seconds_after_cause"`
	Trace   string   `json:"trace_id"`
	Flows   []struct{ Flow, State, Window, Note, Due string }
	Answers []told
}

// find is the first event of a type; nil when there is none.
func find(all []told, kind string) *told {
	for i := range all {
		if all[i].Type == kind {
			return &all[i]
		}
		if found := find(all[i].Answers, kind); found != nil {
			return found
		}
	}
	return nil
}

// way is what has become of an event in a flow: its state, and the rest of it.
func (e *told) way(flow string) (state, more string) {
	for _, f := range e.Flows {
		if f.Flow == flow {
			return f.State, f.Window + f.Note + f.Due
		}
	}
	return "", ""
}

func (s *suite) trace(id string) (all []told) {
	s.t.Helper()
	var story struct{ Events []told }
	if err := json.Unmarshal([]byte(s.triangle("trace", id, "--json")), &story); err != nil {
		s.t.Fatal(err)
	}
	return story.Events
}

// A customer complains: the story goes through all three services, waits for the
// weekly window of marketing, and goes on with the window. Nobody's name is in it.
func TestAContactsStoryIsTold(t *testing.T) {
	s := up(t)
	s.call(http.StatusOK, http.MethodPost, "sales", "/v1/customers", body{"customer_number": "c-1", "person": body{"given_name": "Wilhelmina"}, "source": "test"})
	s.triangle("flow", "set", "request-status", "--cadence", "weekly")
	contact := s.call(http.StatusOK, http.MethodPost, "channel", "/v1/contacts", body{
		"channel": "CHANNEL_CALL_CENTRE", "visitor_id": "phone", "claims": body{"customer_number": "c-1", "given_name": "Wilhelmina"},
	}).text("contact", "contactId")
	s.call(http.StatusOK, http.MethodPost, "channel", "/v1/contacts/"+contact+"/requests", body{"kind": "REQUEST_KIND_COMPLAINT", "text": "Wilhelmina's disc skips."})

	var status *told
	s.await("the story to have got to where it waits", func() bool {
		all := s.trace(contact)
		status = find(all, "sales.RequestStatusChanged")
		return find(all, "channel.VisitorIdentified") != nil && find(all, "marketing.NextBestActionsDecided") != nil && status != nil
	})
	if status.Service != "sales" || status.Handler != "follow-request" || status.After == nil || *status.After < 0 || len(status.Trace) != 32 {
		t.Errorf("the status of the request is told as %+v", status)
	}
	if state, more := status.way("request-status"); state != "waiting" || !strings.Contains(more, "weekly") || !strings.Contains(more, "T02:00:00Z") {
		t.Errorf("over request-status it is %s (%s), want it to wait for the weekly window", state, more)
	}
	s.triangle("flow", "run", "request-status", "--by", "ada")
	status = find(s.trace(contact), "sales.RequestStatusChanged")
	if state, more := status.way("request-status"); state != "taken in" || more != "a window that ada asked for" {
		t.Errorf("over request-status it is %s (%s), want it taken in with the window", state, more)
	}
	text := s.triangle("trace", contact)
	if !strings.Contains(text, "sealed: given name") || strings.Contains(text, "Wilhelmina") {
		t.Errorf("the story names somebody, or does not say what is sealed:\n%s", text)
	}
}

// An event that can't be taken in is told to be parked where it hangs in the story.
func TestAContactsStoryTellsWhatIsParked(t *testing.T) {
	s := up(t)
	contact := s.call(http.StatusOK, http.MethodPost, "channel", "/v1/contacts", body{"channel": "CHANNEL_WEBSITE", "visitor_id": "v1"}).text("contact", "contactId")
	s.appendRaw("contact-"+contact, "channel.BannerClicked", `{"contactId": 7}`, `{"source":"/triangle/channel"}`)
	s.await("the event to be parked", func() bool {
		clicked := find(s.trace(contact), "channel.BannerClicked")
		state, _ := clicked.way("contact-events")
		return state == "parked"
	})
	if text := s.triangle("trace", contact); !strings.Contains(text, "! could not take it in over contact-events, and has parked it: ") {
		t.Errorf("the story does not tell that an event is parked:\n%s", text)
	}
}

// appendRaw appends an event as it is, as no service would.
func (s *suite) appendRaw(stream, kind, data, metadata string) {
	s.t.Helper()
	config, err := esdb.ParseConnectionString("esdb://" + s.eventStore + "?tls=false")
	if err != nil {
		s.t.Fatal(err)
	}
	config.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(config)
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = client.AppendToStream(s.t.Context(), stream, esdb.AppendToStreamOptions{}, esdb.EventData{
		EventID: uuid.New(), ContentType: esdb.ContentTypeJson, EventType: kind, Data: []byte(data), Metadata: []byte(metadata),
	})
	if err := errors.Join(err, client.Close()); err != nil {
		s.t.Fatal(err)
	}
}
