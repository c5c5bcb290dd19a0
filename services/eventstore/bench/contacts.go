package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	"github.com/triangle-suite/triangle/contracts/flows"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/client"
	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/peer"
	"github.com/triangle-suite/triangle/services/eventstore/bench/internal/sidebyside"
)

const (
	propositions = 100 // that marketing decides over
	visitors     = 16  // at once, when it is tried how many contacts there can be
	patience     = 10 * time.Second

	theCall      = "call and sync, p50"
	syncContact  = "contact and decision, each synced"
	loadedShare  = 0.6 // of the contacts that there can be
	loadedSlices = 5   // contacts under load are looked at for longer, as p99 is of few
)

// measureContacts compares the time between a contact's start and the list of next
// best actions at the channel, two events and two services later, with that of a
// single call that waits for a sync of the disk. Then the same under load, and what
// a customer takes of the services' memory.
func measureContacts(ctx context.Context, b *bench, tell func(sidebyside.Measure) error) error {
	floor, err := b.startFloor(ctx)
	if err != nil {
		return err
	}
	alone := sidebyside.Measure{
		Name:       fmt.Sprintf("Contact started → next best actions at the channel, one after the other, %d propositions", propositions),
		Unit:       "ms",
		Contenders: []sidebyside.Contender{{Name: theCall, Sync: syncRawLog, Run: func(ctx context.Context) (float64, error) { return floor.p50(ctx, b.Slice) }}},
	}
	loaded := sidebyside.Measure{Name: fmt.Sprintf("The same while %.0f %% of the contacts come that there can be", 100*loadedShare), Unit: "ms"}
	memory := sidebyside.Measure{Name: "Memory of a customer, with all else that a service keeps", Unit: "bytes of heap"}
	for _, customers := range b.Keys {
		s, err := b.startSuite(ctx, customers)
		if err != nil {
			return err
		}
		if err := s.prepare(ctx); err != nil {
			return fmt.Errorf("prepare a suite of %s: %w", customersName(customers), err)
		}
		s.measureAlone(&alone, b.Slice)
		s.measureLoaded(&loaded, b.Slice)
		s.measureMemory(&memory, customers == slices.Max(b.Keys))
	}
	return errors.Join(tell(alone), tell(loaded), tell(memory))
}

func (s *suite) name(of string) string { return fmt.Sprintf("%s, %s", customersName(s.customers), of) }

func (s *suite) measureAlone(m *sidebyside.Measure, slice time.Duration) {
	p50, p99 := s.name("p50"), s.name("p99")
	both := twins(database{sync: syncContact}, [2]string{p50, p99}, func(ctx context.Context) ([2]float64, error) {
		took, err := s.contacts(ctx, slice)
		return [2]float64{milliseconds(quantile(took, 50)), milliseconds(quantile(took, 99))}, err
	})
	m.Contenders = append(m.Contenders, both...)
	m.Pairs = append(m.Pairs,
		sidebyside.Pair{Of: p50, To: theCall, Goal: sidebyside.Goal{AtMost: 4}},
		sidebyside.Pair{Of: p99, To: p50, Goal: sidebyside.Goal{AtMost: 4}})
}

func (s *suite) measureLoaded(m *sidebyside.Measure, slice time.Duration) {
	name := s.name("p99")
	var most float64 // contacts/s that there can be, as measured before the first round
	m.Contenders = append(m.Contenders, sidebyside.Contender{Name: name, Sync: syncContact, Run: func(ctx context.Context) (float64, error) {
		if most == 0 {
			contacts, took, err := appendFor(ctx, loadedSlices*slice, visitors, func(ctx context.Context, _ int) error { return s.contact(ctx) })
			if err != nil {
				return 0, err
			}
			most = float64(contacts) / took.Seconds()
		}
		took, err := s.contactsAt(ctx, loadedShare*most, loadedSlices*slice)
		return milliseconds(quantile(took, 99)), err
	}})
	m.Pairs = append(m.Pairs, sidebyside.Pair{Of: name, Goal: sidebyside.Goal{AtMost: 20}})
}

func (s *suite) measureMemory(m *sidebyside.Measure, goal bool) {
	for _, role := range []string{roleChannel, roleMarketing} {
		pair := sidebyside.Pair{Of: s.name(role)}
		if goal {
			pair.Goal.AtMost = 250
		}
		m.Pairs = append(m.Pairs, pair)
		m.Contenders = append(m.Contenders, sidebyside.Contender{Name: pair.Of, Sync: syncSQLite, Run: func(ctx context.Context) (float64, error) {
			heap, err := s.heap(ctx, role)
			return heap / float64(s.customers), err
		}})
	}
}

// prepare has each customer place an order, and each service know of it.
func (s *suite) prepare(ctx context.Context) error {
	if err := s.request(ctx, flows.RealTime); err != nil {
		return err
	}
	if err := s.define(ctx); err != nil {
		return err
	}
	if err := errors.Join(s.fill(ctx, s.customers), s.fillWith(ctx, s.customers, s.view)); err != nil {
		return err
	}
	// The flows bring what was told in order. So who knows the last, knows all.
	if _, err := s.place(ctx, 1); err != nil {
		return err
	}
	if _, err := s.append(ctx, 1, s.view); err != nil {
		return err
	}
	started, err := s.start(ctx, s.customer(0))
	if err != nil {
		return err
	}
	return s.until(ctx, func() (bool, error) {
		profile, err := s.marketing.GetProfile(ctx, &marketingv1.GetProfileRequest{CustomerId: s.customer(0)})
		if err != nil || profile.GetOrders() < 2 {
			return false, err
		}
		known, err := s.channel.GetContact(ctx, &channelv1.GetContactRequest{ContactId: started.GetContact().GetContactId()})
		return known.GetCustomer().GetOrders() == 2, err
	})
}

// define defines the propositions, each of which may be offered to anybody.
func (s *suite) define(ctx context.Context) error {
	for i := range propositions {
		id := fmt.Sprintf("proposition-%d", i)
		_, err := s.marketing.DefineProposition(client.WithKey(ctx, id), &marketingv1.DefinePropositionRequest{Proposition: &marketingv1.Proposition{
			PropositionId: id, Name: "The " + id, Purpose: marketingv1.Purpose_PURPOSE_SALES, Topic: fmt.Sprint("topic-", i%10),
			ValueCents: int64(1000 + 10*i), BasePropensity: 0.1, Contents: []*marketingv1.Content{
				{Channel: journeyv1.Channel_CHANNEL_WEBSITE, Text: "Look at " + id},
			},
		}})
		if err != nil {
			return fmt.Errorf("define the propositions: %w", err)
		}
	}
	return s.until(ctx, func() (bool, error) {
		all, err := s.marketing.ListPropositions(ctx, &marketingv1.ListPropositionsRequest{})
		return len(all.GetPropositions()) == propositions, err
	})
}

// until waits until something is so.
func (*suite) until(ctx context.Context, reached func() (bool, error)) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if so, err := reached(); err != nil || so {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// start starts a contact of a customer on the website, and waits for the list.
func (s *suite) start(ctx context.Context, customer string) (*channelv1.StartContactResponse, error) {
	key := uuid.NewString()
	return s.channel.StartContact(client.WithKey(ctx, key), &channelv1.StartContactRequest{
		Channel: journeyv1.Channel_CHANNEL_WEBSITE, VisitorId: "visitor-" + key, CustomerId: customer, Wait: durationpb.New(patience),
	})
}

// contact has the next customer come, and fails unless marketing has decided
// what to offer.
func (s *suite) contact(ctx context.Context) error {
	started, err := s.start(ctx, s.customer(s.visits.Add(1)))
	if err != nil {
		return err
	}
	list := started.GetNextBestActions()
	if list.GetSource() != channelv1.ListSource_LIST_SOURCE_DECIDED || len(list.GetActions()) == 0 {
		return fmt.Errorf("the list of contact %s holds %d actions, and is %s: %s", started.GetContact().GetContactId(), len(list.GetActions()), list.GetSource(), list.GetReason())
	}
	return nil
}

// contacts has contacts come one after the other, and returns what each took.
func (s *suite) contacts(ctx context.Context, slice time.Duration) ([]time.Duration, error) {
	return eachFor(ctx, slice, s.contact)
}

// eachFor does something again and again until a slice is over, and returns what
// each took.
func eachFor(ctx context.Context, slice time.Duration, do func(context.Context) error) (took []time.Duration, err error) {
	for start := time.Now(); len(took) == 0 || time.Since(start) < slice; {
		begin := time.Now()
		if err := do(ctx); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin))
	}
	return took, nil
}

// contactsAt has so many contacts come a second, evenly, however long those
// before take, and returns what each took from the moment that it was due.
func (s *suite) contactsAt(ctx context.Context, rate float64, slice time.Duration) ([]time.Duration, error) {
	n := max(1, int(rate*slice.Seconds()))
	took, failed := make([]time.Duration, n), make([]error, n)
	var all sync.WaitGroup
	start := time.Now()
	for i := range n {
		due := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			all.Wait()
			return nil, ctx.Err()
		}
		all.Go(func() {
			failed[i] = s.contact(ctx)
			took[i] = time.Since(due)
		})
	}
	all.Wait()
	return took, errors.Join(failed...)
}

// heap is what a service's process has on its heap, in bytes.
func (s *suite) heap(ctx context.Context, role string) (float64, error) {
	return s.metricOf(ctx, role, "go_memstats_heap_alloc_bytes")
}

func metric(text io.Reader, name string) (float64, error) {
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, errors.Join(fmt.Errorf("there is no metric %s", name), lines.Err())
}

// floor is what nothing can be faster than: a service that syncs what it is sent,
// shared by all who wait, and answers.
type floor struct {
	channelv1.UnimplementedChannelServiceServer
	log    *peer.RawLog
	client channelv1.ChannelServiceClient
}

// StartContact implements channelv1.ChannelServiceServer.
func (f *floor) StartContact(context.Context, *channelv1.StartContactRequest) (*channelv1.StartContactResponse, error) {
	return &channelv1.StartContactResponse{}, f.log.Append(peer.Payload)
}

// startFloor starts a floor.
func (b *bench) startFloor(ctx context.Context) (*floor, error) {
	dir, err := b.folder("floor")
	if err != nil {
		return nil, err
	}
	log, err := peer.OpenRawLog(dir)
	if err != nil {
		return nil, err
	}
	b.onClose(log.Close)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the floor: %w", err)
	}
	f, server, served := &floor{log: log}, grpc.NewServer(), make(chan error, 1)
	channelv1.RegisterChannelServiceServer(server, f)
	go func() { served <- server.Serve(listener) }()
	b.onClose(func() error {
		server.Stop()
		return <-served
	})
	connection, err := b.dial(listener.Addr().String())
	if err != nil {
		return nil, err
	}
	f.client = channelv1.NewChannelServiceClient(connection)
	return f, nil
}

// p50 is what half of its calls take at most, in milliseconds.
func (f *floor) p50(ctx context.Context, slice time.Duration) (float64, error) {
	took, err := eachFor(ctx, slice, func(ctx context.Context) error {
		_, err := f.client.StartContact(ctx, &channelv1.StartContactRequest{Channel: journeyv1.Channel_CHANNEL_WEBSITE})
		return err
	})
	return milliseconds(quantile(took, 50)), err
}
