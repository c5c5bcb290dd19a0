package simulation

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/control"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/decider"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/memory"
	"github.com/triangle-suite/triangle/services/internal/host"
	"github.com/triangle-suite/triangle/services/internal/host/hosttest"
	"github.com/triangle-suite/triangle/services/internal/keyring"
	"github.com/triangle-suite/triangle/services/internal/pgtest"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/internal/serve"
	"github.com/triangle-suite/triangle/services/telemetry"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// suite is the three services as they are, on one log and one key ring, each with a
// database of its own.
type suite struct {
	testing.TB
	ring    keyring.Ring
	log     eventlog.Log
	streams *decider.Streams
	control *control.Flows
	where   map[flows.Service]string
	running map[flows.Service]hosttest.Running
	db      map[flows.Service]*projection.DB
	eyes    map[flows.Service]*telemetry.Telemetry // empty: nobody sees anything
	calls   int
}

func newSuite(t testing.TB, database func(testing.TB) string) *suite {
	return newSuiteOn(t, memory.New(memory.Options{}), nil, database)
}

func newSuiteOn(t testing.TB, log eventlog.Log, eyes map[flows.Service]*telemetry.Telemetry, database func(testing.TB) string) *suite {
	s := &suite{
		TB: t, ring: keyring.Memory(), log: log, eyes: eyes, where: map[flows.Service]string{},
		running: map[flows.Service]hosttest.Running{}, db: map[flows.Service]*projection.DB{},
	}
	c, err := codec.New(s.ring)
	s.must(err)
	s.streams = &decider.Streams{Log: s.log, Codec: c}
	s.control, err = control.New(s.log)
	s.must(err)
	for _, name := range flows.Services {
		s.where[name] = database(t)
		s.start(name)
	}
	t.Cleanup(func() {
		for _, name := range flows.Services {
			s.stop(name)
		}
	})
	return s
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) start(name flows.Service) {
	s.Helper()
	db, err := projection.Open(context.Background(), s.where[name], string(name))
	s.must(err)
	streams, eyes := *s.streams, s.eyes[name]
	if eyes != nil {
		streams.Tracer = host.Tracer(eyes)
	}
	app, err := builds[name](context.Background(), host.Parts{
		DB: db, Streams: &streams, Ring: s.ring, Logger: slog.New(slog.DiscardHandler), Origins: host.Origins(s.ring, name, time.Now),
	}, outside{})
	s.must(err)
	s.db[name], s.running[name] = db, s.serve(name, app.Serving(), eyes)
	s.await(string(name)+" is ready", func() bool { return app.Flows.Ready(s.Context()) == nil })
}

func (s *suite) serve(name flows.Service, options serve.Options, eyes *telemetry.Telemetry) hosttest.Running {
	options.Telemetry = eyes
	return hosttest.Serve(s, string(name), options)
}

// stop ends a service, if it runs.
func (s *suite) stop(name flows.Service) {
	s.Helper()
	if running, is := s.running[name]; is {
		running.Stop()
		s.must(s.db[name].Close())
		delete(s.running, name)
	}
}

func (s *suite) restart() {
	s.Helper()
	for _, name := range flows.Services {
		s.stop(name)
		s.start(name)
	}
}

// await waits until a condition holds.
func (s *suite) await(what string, holds func() bool) {
	s.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); !holds(); <-tick.C {
		if time.Since(begun) > time.Minute {
			s.Fatalf("waited in vain: %s", what)
		}
	}
}

// keyed is a context with a key that no other call has.
func (s *suite) keyed() context.Context {
	s.calls++
	return metadata.AppendToOutgoingContext(s.Context(), "idempotency-key", fmt.Sprint("call ", s.calls))
}

func (s *suite) sales() salesv1.SalesServiceClient {
	return salesv1.NewSalesServiceClient(s.running[flows.Sales].Conn)
}

func (s *suite) channel() channelv1.ChannelServiceClient {
	return channelv1.NewChannelServiceClient(s.running[flows.Channel].Conn)
}

// somebody is a person of whom every value can be told from all others, and what
// they said.
func somebody(name string) (person *journeyv1.Person, text string, values []string) {
	email := name + "@example.org"
	phone := fmt.Sprintf("+3120%07d", crc32.ChecksumIEEE([]byte(name))%10_000_000)
	born, postcode := fmt.Sprintf("1951-02-%02d", len(name)), "AB "+name
	person = &journeyv1.Person{
		GivenName: "Given" + name, Surname: "Sur" + name, DateOfBirth: born, Email: email, Phone: phone,
		Address: &journeyv1.Address{StreetNumber: "4711", Street: "Street of " + name, Suburb: "Suburb of " + name, Postcode: postcode, State: "State of " + name},
	}
	text = "The disc skips, says " + name
	return person, text, []string{person.GetGivenName(), person.GetSurname(), born, email, phone, "Street of " + name, "Suburb of " + name, postcode, "State of " + name, text}
}

// holding tells which tables of which service hold any of the values in any row:
// all tables that there are, whoever made them.
func (s *suite) holding(values ...string) (found []string) {
	s.Helper()
	for _, name := range flows.Services {
		db := s.db[name]
		for _, table := range s.tables(db) {
			rows, err := db.Query(s.Context(), `SELECT * FROM `+table)
			s.must(err)
			columns, err := rows.Columns()
			s.must(err)
			row, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range row {
				into[i] = &row[i]
			}
			_, err = projection.Collect(rows, func(r projection.Scanner, _ *struct{}) error {
				if err := r.Scan(into...); err != nil {
					return err
				}
				for i, value := range row {
					if b, ok := value.([]byte); ok {
						value = string(b)
					}
					text := fmt.Sprint(value)
					if slices.ContainsFunc(values, func(v string) bool { return strings.Contains(text, v) }) {
						found = append(found, fmt.Sprintf("%s.%s.%s: %s", name, table, columns[i], text))
					}
				}
				return nil
			})
			s.must(err)
		}
	}
	return found
}

func (s *suite) tables(db *projection.DB) []string {
	s.Helper()
	query := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if db.Shared() {
		query = `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()`
	}
	rows, err := db.Query(s.Context(), query)
	s.must(err)
	names, err := projection.Collect(rows, func(r projection.Scanner, name *string) error { return r.Scan(name) })
	s.must(err)
	if len(names) < 10 {
		s.Fatalf("found only the tables %v", names)
	}
	return names
}

func (s *suite) wantNone(when string, values []string) {
	s.Helper()
	s.await("nothing is left "+when, func() bool { return len(s.holding(values...)) == 0 })
}

// known makes a person known to all three services, over a contact.
func (s *suite) known(name string) (customer, contact string, values []string) {
	s.Helper()
	person, text, values := somebody(name)
	registered, err := s.sales().RegisterCustomer(s.keyed(), &salesv1.RegisterCustomerRequest{CustomerNumber: "N-" + name, Person: person})
	s.must(err)
	started, err := s.channel().StartContact(s.keyed(), &channelv1.StartContactRequest{
		Channel: journeyv1.Channel_CHANNEL_WEBSITE, VisitorId: "visitor of " + name, Claims: &channelv1.Claims{Email: person.GetEmail()},
	})
	s.must(err)
	contact = started.GetContact().GetContactId()
	_, err = s.channel().SubmitRequest(s.keyed(), &channelv1.SubmitRequestRequest{
		ContactId: contact, Kind: journeyv1.RequestKind_REQUEST_KIND_COMPLAINT, Text: text,
	})
	s.must(err)
	topic := "jazz of " + name
	s.record(contact, map[string]any{"topic": topic, "propositionId": "for-" + name})
	s.record(contact, map[string]any{"copies": 2}) // it tells of no interest
	s.await("marketing knows what "+name+" likes", func() bool { return len(s.holding(topic)) > 0 && len(s.holding("for-"+name)) > 0 })
	values = append(values, topic, "for-"+name)
	customer = registered.GetCustomerId()
	s.await("CRM owns the request", func() bool {
		all, err := s.sales().ListRequests(s.Context(), &salesv1.ListRequestsRequest{CustomerId: customer})
		return err == nil && len(all.GetRequests()) == 1
	})
	s.await("the channel knows "+name, func() bool { return len(s.holding(person.GetSurname())) > 0 })
	return customer, contact, values
}

// record records an event of a registered kind, and that the visitor is presented
// something then.
func (s *suite) record(contact string, data map[string]any) {
	s.Helper()
	schema, err := structpb.NewStruct(map[string]any{"type": "object", "additionalProperties": false, "properties": map[string]any{
		"topic": map[string]any{"type": "string"}, "propositionId": map[string]any{"type": "string"}, "copies": map[string]any{"type": "integer"},
	}})
	s.must(err)
	_, err = s.channel().RegisterEventKind(s.keyed(), &channelv1.RegisterEventKindRequest{Kind: "brochure-taken", Schema: schema})
	s.must(err)
	said, err := structpb.NewStruct(data)
	s.must(err)
	for _, event := range []*channelv1.RecordEventRequest{
		{Event: &channelv1.RecordEventRequest_Other{Other: &channelv1.KindEvent{Kind: "brochure-taken", Data: said}}},
		{Event: &channelv1.RecordEventRequest_Interest{Interest: &channelv1.InterestEvent{Kind: "reason-for-calling", Topic: "vinyl"}}},
		{Event: &channelv1.RecordEventRequest_Presented{Presented: &channelv1.PresentedEvent{PropositionId: "box-set"}}},
	} {
		event.ContactId = contact
		_, err := s.channel().RecordEvent(s.keyed(), event)
		s.must(err)
	}
}

func (s *suite) erase(customer string) {
	s.Helper()
	for range 2 { // twice is once
		_, err := s.sales().EraseCustomer(s.keyed(), &salesv1.EraseCustomerRequest{CustomerId: customer, By: "the privacy officer", Reason: "asked for"})
		s.must(err)
	}
}

// wantAuditsClose audits every flow of the catalogue.
func (s *suite) wantAuditsClose() {
	s.Helper()
	for _, f := range flows.Catalogue {
		audit, err := s.control.Audit(s.Context(), f.Name, control.AuditOf{}, "ada")
		s.must(err)
		if !audit.Closes() {
			s.Errorf("the audit of %s does not close: %v, %v", f.Name, audit.Objections, audit.Faults)
		}
	}
}

func TestAnErasureTakesAPersonOutOfAllTables(t *testing.T) {
	for name, database := range pgtest.Databases() {
		t.Run(name, func(t *testing.T) {
			s := newSuite(t, database)
			ann, contact, ofAnn := s.known("ann")
			_, _, ofBert := s.known("bertram")
			before := s.holding(ofBert...)
			s.erase(ann)
			s.wantNone("once she is erased", ofAnn)
			for _, subject := range []string{codec.KeyName("customer", ann), codec.KeyName("contact", contact)} {
				s.await(subject+" is destroyed", func() bool {
					_, err := s.ring.Existing(t.Context(), subject)
					return errors.Is(err, keyring.ErrDestroyed)
				})
			}
			if after := s.holding(ofBert...); !slices.Equal(before, after) {
				t.Errorf("of somebody else there was %v, and is %v", before, after)
			}
			shown, err := s.sales().GetCustomer(t.Context(), &salesv1.GetCustomerRequest{By: &salesv1.GetCustomerRequest_CustomerId{CustomerId: ann}})
			s.must(err)
			if c := shown.GetCustomer(); c.GetErasedAt() == nil || c.GetPerson().GetSurname() != "" || c.GetCustomerNumber() != "N-ann" {
				t.Errorf("CRM shows %v", c)
			}
			seen, err := s.channel().GetContact(t.Context(), &channelv1.GetContactRequest{ContactId: contact})
			s.must(err)
			if v := seen.GetCustomer(); v.GetCustomerNumber() != "N-ann" || v.GetPerson().GetSurname() != "" || len(v.GetOpenRequests()) != 1 {
				t.Errorf("the channel shows %v", v)
			}
			person, text, _ := somebody("ann")
			_, err = s.sales().ChangeCustomer(s.keyed(), &salesv1.ChangeCustomerRequest{CustomerId: ann, Person: person})
			wantErased(t, err)
			_, err = s.channel().SubmitRequest(s.keyed(), &channelv1.SubmitRequestRequest{ContactId: contact, Kind: journeyv1.RequestKind_REQUEST_KIND_QUOTE, Text: text})
			wantErased(t, err)
			s.wantAuditsClose()
			s.restart()
			s.wantNone("after a restart", ofAnn)
		})
	}
}

func wantErased(t *testing.T, err error) {
	t.Helper()
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "erased") {
		t.Errorf("what is personal of who was erased: %v", err)
	}
}

func TestAnErasureReachesWhoIsDownWhoIsLateAndWhoComesFromABackup(t *testing.T) {
	for name, database := range pgtest.Databases() {
		t.Run(name, func(t *testing.T) {
			s := newSuite(t, database)
			// One who is down hears of it later.
			ann, _, ofAnn := s.known("ann")
			s.stop(flows.Channel)
			s.erase(ann)
			s.start(flows.Channel)
			s.wantNone("when the channel is back", ofAnn)

			// What was written before, and comes after it, comes empty.
			bert, _, _ := s.known("bertram")
			_, err := s.control.Set(t.Context(), "customer-view", flows.Weekly, "ada", "for the test")
			s.must(err)
			s.settled("customer-view")
			moved, _, ofMoved := somebody("bertram-moved")
			_, err = s.sales().ChangeCustomer(s.keyed(), &salesv1.ChangeCustomerRequest{CustomerId: bert, Person: moved})
			s.must(err)
			s.await("the change is in the log", func() bool { return len(hosttest.Events(t, s.streams, "view-"+bert)) > 2 })
			s.erase(bert)
			_, _, ofBert := somebody("bertram")
			s.wantNone("behind a closed gate", ofBert)
			_, err = s.control.RunWindow(t.Context(), "customer-view", "ada", "")
			s.must(err)
			s.wantAuditsClose() // of all that was sent before
			s.wantNone("after the window", append(ofBert, ofMoved...))

			// A database that comes from a backup is emptied once more.
			s.stop(flows.Channel)
			old, err := projection.Open(t.Context(), s.where[flows.Channel], "channel")
			s.must(err)
			s.must(old.Update(t.Context(), func(tx *projection.Tx) error {
				_, err := tx.Exec(t.Context(), `UPDATE customer_view_person SET body = ? WHERE customer_id = ?`, `{"surname":"Surann"}`, ann)
				return err
			}))
			s.must(old.Close())
			s.start(flows.Channel)
			s.wantNone("in what comes from a backup", ofAnn)

			// And a database that is made anew never holds it.
			s.stop(flows.Channel)
			s.where[flows.Channel] = database(t)
			s.start(flows.Channel)
			s.wantAuditsClose()
			s.wantNone("in a new database", append(append(ofBert, ofMoved...), ofAnn...))
		})
	}
}

func (s *suite) settled(flow string) {
	s.Helper()
	s.await(flow+" has moved", func() bool {
		state, err := s.control.Get(s.Context(), flow)
		s.must(err)
		return state.Settled()
	})
}

// What is written, read and taken in while a person is erased leaves nothing either.
func TestAnErasureWinsAgainstWhatIsUnderWay(t *testing.T) {
	for name, database := range pgtest.Databases() {
		t.Run(name, func(t *testing.T) {
			s := newSuite(t, database)
			var all []string
			for i := range 10 {
				name := fmt.Sprint("person-", i)
				person, _, values := somebody(name)
				all = append(all, values...)
				registered, err := s.sales().RegisterCustomer(s.keyed(), &salesv1.RegisterCustomerRequest{Person: person})
				s.must(err)
				client, changes := s.sales(), make(chan error, 1)
				keys := make([]context.Context, 50)
				for k := range keys {
					keys[k] = s.keyed()
				}
				go func() {
					for k, key := range keys {
						changed := proto.CloneOf(person)
						changed.Address.Extra = fmt.Sprint("floor ", k)
						if _, err := client.ChangeCustomer(key, &salesv1.ChangeCustomerRequest{CustomerId: registered.GetCustomerId(), Person: changed}); err != nil {
							changes <- err
							return
						}
					}
					changes <- nil
				}()
				s.await("the channel knows "+name, func() bool { return len(s.holding(person.GetSurname())) > 0 })
				s.erase(registered.GetCustomerId())
				if err := <-changes; err != nil {
					wantErased(t, err)
				}
			}
			for _, f := range flows.Into(flows.Channel) {
				audit, err := s.control.Audit(t.Context(), f.Name, control.AuditOf{}, "ada")
				s.must(err)
				if !audit.Closes() {
					t.Errorf("the audit of %s does not close: %v, %v", f.Name, audit.Objections, audit.Faults)
				}
			}
			s.wantNone("when all is taken in", all)
		})
	}
}

// A shadow's copy is emptied, too, and the comparison goes on.
func TestAnErasureReachesAShadow(t *testing.T) {
	for name, database := range pgtest.Databases() {
		t.Run(name, func(t *testing.T) {
			s := newSuite(t, database)
			ann, _, ofAnn := s.known("ann")
			_, err := s.control.StartShadow(t.Context(), "customer-view", flows.Weekly, "ada", "for the test")
			s.must(err)
			_, err = s.control.WaitShadow(t.Context(), "customer-view", func(sh control.Shadow) bool { return sh.Started() })
			s.must(err)
			db := s.db[flows.Channel]
			inShadow := func() (n int) {
				names, err := db.Besides(t.Context(), "shadow-customer-view")
				s.must(err)
				for _, name := range names {
					beside, err := db.Beside(t.Context(), name)
					s.must(err)
					var found int
					if err := beside.QueryRow(t.Context(), `SELECT count(*) FROM customer_view_person WHERE body <> '' AND customer_id = ?`, ann).Scan(&found); err == nil {
						n += found
					}
					s.must(beside.Close())
				}
				return n
			}
			s.await("the shadow holds her", func() bool { return inShadow() == 1 })
			s.erase(ann)
			s.wantNone("in the tables", ofAnn)
			s.await("the shadow holds nothing of her", func() bool { return inShadow() == 0 })
		})
	}
}
