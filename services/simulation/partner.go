package simulation

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// scheme is that of the back office's address: its requests stay within the
// process, as a bubble knows nothing of what is outside of it.
const scheme = "simulation"

// exchange finds the back office that a request is for: one for each life of a
// service, by the host in its address.
type exchange struct{ offices sync.Map }

var partners = sync.OnceValue(func() *exchange {
	all := &exchange{}
	if transport, ok := http.DefaultTransport.(*http.Transport); ok {
		transport.RegisterProtocol(scheme, all)
	}
	return all
})

// RoundTrip implements http.RoundTripper.
func (e *exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	found, ok := e.offices.Load(r.URL.Host)
	if !ok {
		return nil, fmt.Errorf("%s: %w", r.URL.Host, errCrashed)
	}
	return office{found.(*life)}.ask(r)
}

// open opens a back office for a life, and returns its address.
func (e *exchange) open(l *life) (url string, leave func()) {
	host := fmt.Sprintf("%p", l)
	e.offices.Store(host, l)
	return scheme + "://" + host, func() { e.offices.Delete(host) }
}

// office is the back office as one life of a service reaches it.
type office struct{ life *life }

// backOffice is how a back office answers a request.
type backOffice func(*http.Request, verdict) (status int, said string, err error)

// byChance answers a request alike however often it comes, unless the office has no
// time.
func (*world) byChance(r *http.Request, v verdict) (status int, said string, err error) {
	switch chance := sha256.Sum256([]byte(r.Header.Get("Idempotency-Key"))); {
	case v.roll%16 == 0:
		status, said = http.StatusServiceUnavailable, "busy"
	case chance[0]%3 == 0:
		status, said = http.StatusAccepted, "pending"
	default:
		status, said = http.StatusOK, "done"
	}
	return status, said, r.Body.Close()
}

// ask has the office answer when its turn comes.
func (o office) ask(r *http.Request) (*http.Response, error) {
	id := r.Header.Get("Idempotency-Key")
	v, err := o.life.await(r.Context(), Partner, id)
	if err != nil {
		return nil, err
	}
	if v.fault == Duplicate { // the request comes a second time, and it is that answer that is heard
		if v, err = o.life.await(r.Context(), Partner, id); err != nil {
			return nil, err
		}
	}
	status, said, err := o.life.service.world.office(r, v)
	if err != nil {
		return nil, err
	}
	body := fmt.Sprintf(`{"status":%q,"reference":"ref-%s"}`, said, id)
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}
