package eventstore_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
)

// scrape returns what the store tells a Prometheus, by series.
func (f *fixture) scrape(client *http.Client, scheme string) map[string]float64 {
	f.Helper()
	request, err := http.NewRequestWithContext(f.ctx, http.MethodGet, scheme+"://"+f.store.Addr()+"/metrics", nil)
	f.must(err)
	request.Header.Set("Accept", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3")
	response, err := client.Do(request)
	f.must(err)
	defer response.Body.Close() //nolint:errcheck // all was read
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "application/openmetrics-text") {
		f.Fatalf("answered %d, %s", response.StatusCode, kind)
	}
	all := map[string]float64{}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		series, value, ok := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseFloat(value, 64); ok && err == nil {
			all[strings.TrimPrefix(series, "eventstore_")] = n
		}
	}
	return all
}

// plain is a client that keeps no connection.
func plain() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
}

// awaitMetric waits until a metric is as it should be.
func (f *fixture) awaitMetric(name string, holds func(float64) bool) {
	f.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		v, ok := f.scrape(plain(), "http")[name]
		if ok && holds(v) {
			return
		}
		select {
		case <-tick.C:
		case <-f.ctx.Done():
			f.Fatalf("waited in vain for %s, which is %v", name, v)
		}
	}
}

func TestTheStoreIsMeasured(t *testing.T) {
	f := newFixture(t, eventstoretest.OnDisk())
	empty := f.scrape(plain(), "http")
	f.append("s", events(3)...)
	last := f.append("s", events(2)...)
	if _, err := f.tryAppend("s", esdb.Revision(0), events(1)...); err == nil {
		t.Fatal("an append at a wrong revision is accepted")
	}
	read, err := f.client.ReadStream(f.ctx, "s", esdb.ReadStreamOptions{}, math.MaxUint64)
	f.must(err)
	for {
		if _, err := read.Recv(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	read.Close()
	if _, err := f.tryAppend("$all", esdb.Any{}, events(1)...); err == nil {
		t.Fatal("an append to $all is accepted")
	}
	w := f.followAll(esdb.SubscribeToAllOptions{From: esdb.Start{}})
	w.catchUp()

	got := f.scrape(plain(), "http")
	for name, want := range map[string]float64{
		`appends_total{outcome="written"}`:                            2,
		`appends_total{outcome="wrong_version"}`:                      1,
		`append_duration_seconds_count`:                               3,
		`reads_total{kind="read_stream"}`:                             1,
		`messages_sent_total{kind="read_stream"}`:                     5,
		`reads_total{kind="subscribe_all"}`:                           1,
		`calls_total{code="InvalidArgument",method="Streams/Append"}`: 1,
		`subscriptions_open`:                                          1,
		`persistent_events_parked`:                                    0,
		`subscriptions_behind_bytes`:                                  0,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if n := got["events_written_total"]; n != 5 {
		t.Errorf("%v events were written", n)
	}
	if got["last_position"] < float64(last.CommitPosition) || got["journal_bytes_written_total"] < got["last_position"] || got["sync_duration_seconds_sum"] <= 0 {
		t.Errorf("position %v, %v bytes, synced for %v s", got["last_position"], got["journal_bytes_written_total"], got["sync_duration_seconds_sum"])
	}
	if got["journal_bytes"] < got["journal_bytes_written_total"] || got["group_commands_count"] < 1 || empty["group_commands_count"] != 0 {
		t.Errorf("the journal takes %v bytes, %v groups; empty it had %v", got["journal_bytes"], got["group_commands_count"], empty["group_commands_count"])
	}
	f.must(f.client.CreatePersistentSubscription(f.ctx, "s", "g", esdb.PersistentStreamSubscriptionOptions{}))
	f.awaitMetric("persistent_subscriptions", func(n float64) bool { return n == 1 })
	f.must(w.sub.Close())
	f.awaitMetric("subscriptions_open", func(n float64) bool { return n == 0 })
}

// A subscription that nobody reads falls behind, and that is seen.
func TestASubscriptionThatFallsBehindIsSeen(t *testing.T) {
	f := newFixture(t)
	sub, err := f.client.SubscribeToAll(f.ctx, esdb.SubscribeToAllOptions{From: esdb.Start{}})
	f.must(err)
	defer sub.Close() //nolint:errcheck // it is the test's end
	big := events(1)[0]
	big.Data = fmt.Appendf(nil, `{"x":%q}`, strings.Repeat("x", 200<<10))
	for range 100 {
		big.EventID = events(1)[0].EventID
		f.append("s", big)
	}
	f.awaitMetric("subscriptions_behind_bytes", func(n float64) bool { return n > 1<<20 })
}

// Who may call nobody is told figures all the same, and no more than that.
func TestMetricsByTLSAskForNoCredentials(t *testing.T) {
	f := newUserFixture(t)
	pool := x509.NewCertPool()
	pool.AddCert(f.certificate())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	if got := f.scrape(client, "https"); got["go_goroutines"] == 0 || got["subscriptions_open"] != 0 {
		t.Errorf("told %v", got)
	}
}

// However many streams, groups, types and wrong calls: there are no more series, and
// none of them holds a name.
func TestTheStoresSeriesAreBounded(t *testing.T) {
	f := newFixture(t)
	use := func(from, to int) map[string]float64 {
		for i := from; i < to; i++ {
			name := fmt.Sprintf("secret-%d", i)
			f.append(name, typed(name))
			_, _ = f.tryAppend(name, esdb.Revision(77), events(1)...)
			_, _ = f.tryAppend("$all", esdb.Any{}, events(1)...)
			f.must(f.client.CreatePersistentSubscription(f.ctx, name, "group-"+name, esdb.PersistentStreamSubscriptionOptions{}))
			read, err := f.client.ReadStream(f.ctx, name, esdb.ReadStreamOptions{}, 1)
			f.must(err)
			read.Close()
		}
		return f.scrape(plain(), "http")
	}
	before := use(0, 5)
	after := use(5, 60)
	if len(after) > len(before)+4 { // a call that was cut off may have one code more
		t.Errorf("there are %d series, and were %d", len(after), len(before))
	}
	for series := range after {
		if strings.Contains(series, "secret") {
			t.Errorf("a series holds a name: %s", series)
		}
	}
}

// Figures are asked for while the store is killed under them.
func TestScrapesOutliveTheStore(t *testing.T) {
	f := newFixture(t, eventstoretest.OnDisk())
	f.append("s", events(3)...)
	from := "http://" + f.store.Addr() + "/metrics"
	var scrapers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		scrapers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if response, err := plain().Get(from); err == nil {
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
			}
		})
	}
	for range 5 {
		f.store.Kill()
		f.store.Restart()
	}
	close(stop)
	scrapers.Wait()
}
