package metrics

import (
	"context"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Interceptors count calls where they come in, before anything can refuse them. Only
// methods that there are come to an interceptor: a caller can't make series up.
func (m *Metrics) Interceptors() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(m.unary), grpc.ChainStreamInterceptor(m.stream)}
}

func (m *Metrics) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	response, err := handle(ctx, req)
	m.ended(info.FullMethod, err)
	return response, err
}

func (m *Metrics) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	err := handle(srv, stream)
	m.ended(info.FullMethod, err)
	return err
}

// ended counts a call, by the short name of its method: Streams/Append. The counter of
// those that went well is kept at hand: to look for it would be most of what it costs.
func (m *Metrics) ended(method string, err error) {
	if err != nil {
		m.call(method, status.Code(err)).Inc()
		return
	}
	well, ok := m.well.Load(method)
	if !ok {
		well, _ = m.well.LoadOrStore(method, m.call(method, codes.OK))
	}
	well.(prometheus.Counter).Inc() //nolint:forcetypeassert // stored three lines above
}

func (m *Metrics) call(method string, code codes.Code) prometheus.Counter {
	return m.calls.WithLabelValues(method[strings.LastIndexByte(method, '.')+1:], code.String())
}
