// This file takes the place of the suite's own containers_test.go. It keeps
// the names that the suite's other files use, and asks the program that runs
// the suite for databases instead of a container runtime.

package esdb_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/goombaio/namegenerator"
)

const (
	hostVariable    = "TRIANGLE_CONFORMANCE_HOST" // where databases are asked for
	versionVariable = "EVENTSTORE_DOCKER_TAG"     // the suite's own: which release it is run against

	waitAttempts = 50
	waitPause    = time.Second
)

// NAME_GENERATOR gives the same names in each run, as in the original.
var NAME_GENERATOR = namegenerator.NewNameGenerator(0)

// Container is a database that a test has to itself.
type Container struct {
	Endpoint string `json:"endpoint"`
	ID       string `json:"id"`
}

// Close ends the database.
func (c *Container) Close() {
	if _, err := askHost(http.MethodDelete, "/databases/"+c.ID); err != nil {
		panic(err)
	}
}

func askHost(method, path string) ([]byte, error) {
	request, err := http.NewRequest(method, os.Getenv(hostVariable)+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, bytes.TrimSpace(body))
	}
	return body, nil
}

// GetEnvOrDefault returns an environment variable, or what it is by default.
func GetEnvOrDefault(key, defaultValue string) string {
	if value, ok := os.LookupEnv(key); ok {
		return value
	}
	return defaultValue
}

func insecure() bool { return GetEnvOrDefault("EVENTSTORE_INSECURE", "true") == "true" }

// ESDBVersion is a release of EventStoreDB.
type ESDBVersion struct{ Maj, Min, Patch int }

// VersionPredicateFn picks releases.
type VersionPredicateFn = func(ESDBVersion) bool

// IsESDB_Version tells whether the release that the suite was told of is one of
// those picked. It was told of none when it runs against our store.
func IsESDB_Version(predicate VersionPredicateFn) bool {
	release, _, _ := strings.Cut(os.Getenv(versionVariable), "-")
	parts := strings.Split(release, ".")
	if len(parts) < 3 {
		return false
	}
	var numbers [3]int
	for i := range numbers {
		number, err := strconv.Atoi(parts[i])
		if err != nil {
			return false
		}
		numbers[i] = number
	}
	return predicate(ESDBVersion{Maj: numbers[0], Min: numbers[1], Patch: numbers[2]})
}

// IsESDBVersion20 tells whether the release is one of before 21.
func IsESDBVersion20() bool {
	return IsESDB_Version(func(version ESDBVersion) bool { return version.Maj < 21 })
}

// CreateEmptyDatabase returns a new database, with what EventStoreDB writes into
// one at its first start as far as the suite looks for it.
func CreateEmptyDatabase(t *testing.T) (*Container, *esdb.Client) {
	return createDatabase(t, "empty")
}

// CreatePopulatedDatabase returns a new database that holds the suite's events.
func CreatePopulatedDatabase(t *testing.T) (*Container, *esdb.Client) {
	return createDatabase(t, "populated")
}

func createDatabase(t *testing.T, content string) (*Container, *esdb.Client) {
	t.Helper()
	body, err := askHost(http.MethodPost, "/databases?content="+content)
	if err != nil {
		t.Fatalf("start a database, %s: %v", content, err)
	}
	container := new(Container)
	if err := json.Unmarshal(body, container); err != nil {
		t.Fatalf("start a database, %s: %v", content, err)
	}
	client := GetClient(t, container)
	if content == "empty" {
		writeUsers(t, client)
	}
	WaitForAdminToBeAvailable(t, client)
	WaitForLeaderToBeElected(t, client)
	return container, client
}

// writeUsers writes what EventStoreDB keeps of its first users. Our store has no
// users in streams, but the suite waits for this stream.
func writeUsers(t *testing.T, client *esdb.Client) {
	t.Helper()
	var events []esdb.EventData
	for _, name := range []string{"ops", "admin"} {
		events = append(events, esdb.EventData{EventType: "$User", ContentType: esdb.ContentTypeBinary, Data: []byte(name)})
	}
	if _, err := client.AppendToStream(context.Background(), "$users", esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}, events...); err != nil {
		t.Fatalf("write the first users: %v", err)
	}
}

// GetClient returns a client of a database, which in the secure mode signs in as
// its admin.
func GetClient(t *testing.T, container *Container) *esdb.Client {
	t.Helper()
	if insecure() {
		return createTestClient("esdb://"+container.Endpoint+"?tls=false", container, t)
	}
	return createTestClient("esdb://admin:changeit@"+container.Endpoint+"?tls=true&tlsverifycert=false", container, t)
}

func createTestClient(conn string, _ *Container, t *testing.T) *esdb.Client {
	t.Helper()
	return CreateClient(conn, t)
}

// CreateClient returns a client for a connection string.
func CreateClient(conn string, t *testing.T) *esdb.Client {
	t.Helper()
	config, err := esdb.ParseConnectionString(conn)
	if err != nil {
		t.Fatalf("connection string %s: %v", conn, err)
	}
	client, err := esdb.NewClient(config)
	if err != nil {
		t.Fatalf("client for %s: %v", conn, err)
	}
	return client
}

// WaitForAdminToBeAvailable returns when the stream of users can be read.
func WaitForAdminToBeAvailable(t *testing.T, client *esdb.Client) {
	t.Helper()
	await(t, "the stream of users", time.Second, func(ctx context.Context) error {
		stream, err := client.ReadStream(ctx, "$users", esdb.ReadStreamOptions{}, 1)
		if err != nil {
			return err
		}
		defer stream.Close()
		_, err = stream.Recv()
		return err
	}, esdb.ErrorCodeResourceNotFound, esdb.ErrorCodeUnauthenticated, esdb.ErrorCodeDeadlineExceeded, esdb.ErrorUnavailable)
}

// WaitForLeaderToBeElected returns when a persistent subscription could be made,
// which only a leader does.
func WaitForLeaderToBeElected(t *testing.T, client *esdb.Client) {
	t.Helper()
	await(t, "a leader", 5*time.Second, func(ctx context.Context) error {
		return client.CreatePersistentSubscription(ctx, NAME_GENERATOR.Generate(), "group", esdb.PersistentStreamSubscriptionOptions{})
	}, esdb.ErrorCodeNotLeader, esdb.ErrorCodeUnauthenticated, esdb.ErrorCodeDeadlineExceeded, esdb.ErrorUnavailable)
}

// await tries until it succeeds, and gives up at an error that is not one of
// those that pass.
func await(t *testing.T, what string, limit time.Duration, try func(context.Context) error, passing ...esdb.ErrorCode) {
	t.Helper()
	var err error
	for attempt := 0; attempt < waitAttempts; attempt++ {
		if attempt > 0 {
			time.Sleep(waitPause)
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		err = try(ctx)
		late := ctx.Err() != nil
		cancel()
		if err == nil {
			return
		}
		if !late && !hasCode(err, passing) {
			break
		}
	}
	t.Fatalf("waited for %s: %+v", what, err)
}

func hasCode(err error, codes []esdb.ErrorCode) bool {
	var failure *esdb.Error
	if !errors.As(err, &failure) {
		return false
	}
	for _, code := range codes {
		if failure.Code() == code {
			return true
		}
	}
	return false
}
