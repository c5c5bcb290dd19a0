package support

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// most is how much of an answer is read.
const most = 16 << 20

// Service are the parts that a service tells at its REST port: whether it is ready, and
// its metrics.
func Service(name, url string) (parts []Part) {
	for file, path := range map[string]string{"readyz.json": "/readyz", "metrics.txt": "/metrics"} {
		parts = append(parts, Part{name + "/" + file, func(ctx context.Context) ([]byte, error) { return get(ctx, url+path) }})
	}
	return parts
}

// get returns what is answered, be it that something is wrong.
func get(ctx context.Context, url string) (text []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	text, err = io.ReadAll(io.LimitReader(response.Body, most))
	if err == nil && response.StatusCode != http.StatusOK && response.StatusCode != http.StatusServiceUnavailable {
		return nil, fmt.Errorf("%s answers %s", url, response.Status)
	}
	return text, err
}
