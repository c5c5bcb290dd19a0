package serve_test

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc"

	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/serve"
)

// sales is a SalesService that keeps the last change of a customer.
type sales struct {
	salesv1.UnimplementedSalesServiceServer
	changed *salesv1.ChangeCustomerRequest
}

func (s *sales) ChangeCustomer(_ context.Context, req *salesv1.ChangeCustomerRequest) (*salesv1.ChangeCustomerResponse, error) {
	s.changed = req
	return &salesv1.ChangeCustomerResponse{}, nil
}

func ofSales(s *sales) func(*serve.Options) {
	return func(o *serve.Options) {
		o.Register = func(r grpc.ServiceRegistrar) { salesv1.RegisterSalesServiceServer(r, s) }
		o.Gateway, o.OpenAPI = salesv1.RegisterSalesServiceHandler, salesv1.OpenAPI
	}
}

func ofMarketing(o *serve.Options) {
	o.Register = func(r grpc.ServiceRegistrar) {
		marketingv1.RegisterMarketingServiceServer(r, marketingv1.UnimplementedMarketingServiceServer{})
	}
	o.Gateway, o.OpenAPI = marketingv1.RegisterMarketingServiceHandler, marketingv1.OpenAPI
}

func TestABodyMayBeAFieldOfTheRequest(t *testing.T) {
	api := &sales{}
	s := run(t, nil, ofSales(api))
	got := s.do("PUT", "/v1/customers/k1/person", `{"givenName": "Jane"}`, "Idempotency-Key", "k")
	if got.code != 200 || api.changed.GetCustomerId() != "k1" || api.changed.GetPerson().GetGivenName() != "Jane" {
		t.Errorf("%d %s, request %v", got.code, got.body, api.changed)
	}
	got = s.do("PUT", "/v1/customers/k1/person", "{\n \"firstName\": \"Jane\"}", "Idempotency-Key", "k")
	if p := readProblem(t, got); got.code != 400 || p.Detail != `line 2, column 2: the request has no field "firstName"` {
		t.Errorf("%d %+v", got.code, p)
	}
	if got = s.do("PUT", "/v1/customers/k1/person", "", "Idempotency-Key", "k"); got.code != 200 || api.changed.GetPerson() != nil {
		t.Errorf("without a body: %d %s, request %v", got.code, got.body, api.changed)
	}
}

var parameter = regexp.MustCompile(`\{[^}]*\}`)

// TestTheDescriptionAndTheGatewayKnowTheSameRoutes calls each operation of each
// description, and a method that its path does not have.
func TestTheDescriptionAndTheGatewayKnowTheSameRoutes(t *testing.T) {
	for name, change := range map[string]func(*serve.Options){
		"channel": func(*serve.Options) {}, "sales": ofSales(&sales{}), "marketing": ofMarketing,
	} {
		t.Run(name, func(t *testing.T) {
			s := run(t, &api{}, change)
			var document struct{ Paths map[string]map[string]any }
			if err := json.Unmarshal([]byte(s.do("GET", "/openapi.json", "").body), &document); err != nil {
				t.Fatal(err)
			}
			for template, methods := range document.Paths {
				path := parameter.ReplaceAllString(strings.ReplaceAll(template, "{channel}", "CHANNEL_EMAIL"), "x1")
				for method := range methods {
					method = strings.ToUpper(method)
					if got := s.do(method, path, "", "Idempotency-Key", "k"); got.code != 200 && got.code != 501 {
						t.Errorf("%s %s: %d %s", method, path, got.code, got.body)
					}
				}
				got := s.do("PATCH", path, "")
				if got.code != 405 || len(strings.Split(got.header.Get("Allow"), ", ")) < len(methods) {
					t.Errorf("PATCH %s: %d, Allow %q", path, got.code, got.header.Get("Allow"))
				}
			}
		})
	}
}
