package watermillesdb_test

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
	"github.com/triangle-suite/triangle/services/watermillesdb"
)

var (
	stress  = flag.Bool("pubsub.stress", false, "run Watermill's stress suite as well: STRESS_TEST_COUNT suites at a time")
	restart = flag.String("pubsub.restart", "", "ask this URL to restart a store, and exit")
)

// TestMain makes the test's program the command by which the universal suite
// restarts the store, which runs in the test's own process.
func TestMain(m *testing.M) {
	flag.Parse()
	if *restart == "" {
		os.Exit(m.Run())
	}
	if err := askForRestart(*restart); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func askForRestart(url string) error {
	response, err := http.Post(url, "", http.NoBody)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// features are what our publisher and subscriber promise. The suite checks that
// they keep it.
var features = tests.Features{
	ConsumerGroups:      true,
	ExactlyOnceDelivery: false,
	GuaranteedOrder:     true,
	Persistent:          true,
}

// Watermill's universal suite, which every implementation of its publisher and
// subscriber is to pass. Its test of a restart has a function of its own.
func TestUniversalSuite(t *testing.T) {
	s := suite{eventstoretest.Start(t)}
	tests.TestPubSub(t, features, s.grouped("suite"), s.inGroup)
}

// Without a consumer group each subscriber gets all messages, old ones too. The
// suite has one test of that.
func TestUniversalSuiteWithoutAGroup(t *testing.T) {
	s := suite{eventstoretest.Start(t)}
	alone := features
	alone.ConsumerGroups, alone.NewSubscriberReceivesOldMessages = false, true
	tests.TestNewSubscriberReceivesOldMessages(t, tests.TestContext{TestID: tests.NewTestID(), Features: alone}, s.grouped(""))
}

// The suite's own test of a restart, with a store that is killed.
func TestUniversalSuiteReconnects(t *testing.T) {
	if raceDetector {
		t.Skip("the suite's test reads what its own goroutine writes; TestNothingIsLostWhenTheStoreIsKilled runs with the race detector")
	}
	store := eventstoretest.Start(t)
	restarting := features
	restarting.RestartServiceCommand = restartCommand(t, store)
	tests.TestReconnect(t, tests.TestContext{TestID: tests.NewTestID(), Features: restarting},
		func(t *testing.T) (message.Publisher, message.Subscriber) {
			pub, sub := suite{store}.inGroup(t, "suite")
			return holdTheLast(t, 10_000, pub, sub)
		})
}

// holdTheLast holds the last of all messages back until each Publish has
// returned, and a while longer: when all have been received, the suite's test
// compares them with what has been published up to then.
func holdTheLast(t *testing.T, all int, pub message.Publisher, sub message.Subscriber) (message.Publisher, message.Subscriber) {
	t.Helper()
	var published sync.WaitGroup
	published.Add(all)
	seen := map[string]bool{}
	decorated, err := message.MessageTransformSubscriberDecorator(func(msg *message.Message) {
		if seen[msg.UUID] = true; len(seen) == all {
			published.Wait()
			<-time.After(200 * time.Millisecond)
		}
	})(sub)
	if err != nil {
		t.Fatal(err)
	}
	return counting{pub, &published}, decorated
}

// counting tells of each message that has been published.
type counting struct {
	message.Publisher
	published *sync.WaitGroup
}

func (c counting) Publish(topic string, messages ...*message.Message) error {
	err := c.Publisher.Publish(topic, messages...)
	if err == nil {
		c.published.Done()
	}
	return err
}

func TestUniversalSuiteUnderStress(t *testing.T) {
	if !*stress {
		t.Skip("make pubsub runs it")
	}
	s := suite{eventstoretest.Start(t)}
	tests.TestPubSubStressTest(t, features, s.grouped("suite"), s.inGroup)
}

// suite gives the universal suite what it tests. Each pair has a connection of
// its own, as if it were a process.
type suite struct{ store *eventstoretest.Server }

func (s suite) grouped(group string) tests.PubSubConstructor {
	return func(t *testing.T) (message.Publisher, message.Subscriber) { return s.inGroup(t, group) }
}

func (s suite) inGroup(t *testing.T, group string) (message.Publisher, message.Subscriber) {
	t.Helper()
	store := open(t, s.store)
	return newPublisher(t, store), newSubscriber(t, store, watermillesdb.SubscriberConfig{
		ConsumerGroup: group,
		NackPause:     time.Millisecond,       // the suite nacks hundreds of times
		CloseTimeout:  500 * time.Millisecond, // the suite closes while it holds messages that it never acks
	})
}

func open(t *testing.T, server *eventstoretest.Server) *watermillesdb.Store {
	t.Helper()
	store, err := watermillesdb.Open(server.ConnectionString())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func newPublisher(t *testing.T, store *watermillesdb.Store) *watermillesdb.Publisher {
	t.Helper()
	publisher, err := watermillesdb.NewPublisher(store, watermillesdb.PublisherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := publisher.Close(); err != nil {
			t.Error(err)
		}
	})
	return publisher
}

// newSubscriber is closed when the test ends, before its store is.
func newSubscriber(t *testing.T, store *watermillesdb.Store, config watermillesdb.SubscriberConfig) *watermillesdb.Subscriber {
	t.Helper()
	if testing.Verbose() {
		config.Logger = watermill.NewStdLogger(false, false)
	}
	subscriber, err := watermillesdb.NewSubscriber(store, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := subscriber.Close(); err != nil {
			t.Error(err)
		}
	})
	return subscriber
}

// restartCommand returns a command that kills the store and starts it again.
func restartCommand(t *testing.T, store *eventstoretest.Server) []string {
	t.Helper()
	var one sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		one.Lock()
		defer one.Unlock()
		store.Kill()
		store.Restart()
	}))
	t.Cleanup(server.Close)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{program, "-pubsub.restart=" + server.URL}
}
