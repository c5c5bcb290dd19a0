package imports

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"

	"github.com/triangle-suite/triangle/services/client"
	"github.com/triangle-suite/triangle/tools/internal/sample"
)

// crm is a CRM that keeps the first answer of each key, and fails now and then,
// before or after it has done what it was asked.
type crm struct {
	salesv1.UnimplementedSalesServiceServer

	mu        sync.Mutex
	chance    *rand.Rand
	failures  int
	done      map[string]bool // by idempotency key
	customers map[string]bool
	orders    map[string][]string // by customer, in the order in which they came
	spent     int64
	refuse    map[string]codes.Code // by customer number
}

func startCRM(t *testing.T, seed uint64) (*crm, salesv1.SalesServiceClient) {
	t.Helper()
	c := &crm{
		chance: rand.New(rand.NewPCG(seed, seed)), done: map[string]bool{}, customers: map[string]bool{},
		orders: map[string][]string{}, refuse: map[string]codes.Code{},
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	salesv1.RegisterSalesServiceServer(server, c)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	connection, err := client.Connect(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Stop()
		if err := errors.Join(<-served, connection.Close()); err != nil {
			t.Error(err)
		}
	})
	return c, salesv1.NewSalesServiceClient(connection)
}

func (c *crm) RegisterCustomer(ctx context.Context, req *salesv1.RegisterCustomerRequest) (*salesv1.RegisterCustomerResponse, error) {
	return &salesv1.RegisterCustomerResponse{}, c.once(ctx, req.GetCustomerNumber(), func() {
		c.customers[req.GetCustomerNumber()] = true
	})
}

func (c *crm) PlaceOrder(ctx context.Context, req *salesv1.PlaceOrderRequest) (*salesv1.PlaceOrderResponse, error) {
	return &salesv1.PlaceOrderResponse{}, c.once(ctx, req.GetCustomerNumber(), func() {
		c.customers[req.GetCustomerNumber()] = true
		c.orders[req.GetCustomerNumber()] = append(c.orders[req.GetCustomerNumber()], req.GetOrderNumber())
		c.spent += req.GetAmountCents()
	})
}

func (c *crm) once(ctx context.Context, customer string, do func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	incoming, _ := metadata.FromIncomingContext(ctx)
	keys := incoming.Get("idempotency-key")
	if len(keys) != 1 || keys[0] == "" {
		return status.Error(codes.InvalidArgument, "one key, please")
	}
	if code, refused := c.refuse[customer]; refused {
		return status.Error(code, "not this one")
	}
	if err := c.fail(); err != nil {
		return err
	}
	if !c.done[keys[0]] {
		c.done[keys[0]] = true
		do()
	}
	return c.fail() // it was done, but nobody is told
}

func (c *crm) fail() error {
	if c.chance.IntN(50) > 0 {
		return nil
	}
	c.failures++
	passing := []codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Aborted}
	return status.Error(passing[c.chance.IntN(len(passing))], "just now")
}

func (c *crm) totals() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	orders := 0
	for _, of := range c.orders {
		orders += len(of)
	}
	return fmt.Sprintf("%d customers, %d orders, %d cents", len(c.customers), orders, c.spent)
}

func run1(t *testing.T, tasks iter.Seq2[Task, error], files *Files) Report {
	t.Helper()
	rows := 0
	report, err := Run(t.Context(), tasks, files, func() { rows++ })
	if err := errors.Join(err, files.Close()); err != nil {
		t.Fatal(err)
	}
	if rows != report.Rows || report.Rows != report.Imported+report.Kept+report.Rejected {
		t.Errorf("%d rows were told of, the report is %+v", rows, report)
	}
	return report
}

func TestTheSampleGoesInOnceHoweverOftenItIsImported(t *testing.T) {
	seed := uint64(20261121)
	c, sales := startCRM(t, seed)
	dir := t.TempDir()
	for time := range 2 {
		persons := run1(t, PersonTasks(sales, bytes.NewReader(sample.Persons)),
			&Files{Rejects: filepath.Join(dir, "p.rejects"), Duplicates: filepath.Join(dir, "duplicates.csv")})
		orders := run1(t, OrderTasks(sales, bytes.NewReader(sample.Orders)), &Files{Rejects: filepath.Join(dir, "o.rejects")})

		if want := (Report{Rows: 1000, Imported: 500, Kept: 500}); persons != want {
			t.Errorf("time %d: persons %+v, want %+v", time, persons, want)
		}
		if want := (Report{Rows: 6919, Imported: 6919}); orders != want {
			t.Errorf("time %d: orders %+v, want %+v", time, orders, want)
		}
		if got, want := c.totals(), "2857 customers, 6919 orders, 24409194 cents"; got != want {
			t.Errorf("time %d: %s, want %s", time, got, want)
		}
	}
	if c.failures < 100 {
		t.Errorf("seed %d: only %d calls have failed", seed, c.failures)
	}
	checkOrderWithinCustomers(t, c)
	if kept := len(strings.Split(strings.TrimSpace(read(t, filepath.Join(dir, "duplicates.csv"))), "\n")); kept != 501 {
		t.Errorf("%d lines were kept, want 500 and a header", kept)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.rejects")); err != nil || len(left) > 0 {
		t.Errorf("rejects of nothing: %v %v", left, err)
	}
}

// checkOrderWithinCustomers holds what came in against the file.
func checkOrderWithinCustomers(t *testing.T, c *crm) {
	t.Helper()
	want := map[string][]string{}
	for _, row := range collect(t, Orders(bytes.NewReader(sample.Orders))) {
		want[row.CustomerNumber] = append(want[row.CustomerNumber], row.OrderNumber)
	}
	if diff := cmp.Diff(want, c.orders); diff != "" {
		t.Errorf("orders came in another order than they are in; want, got:\n%s", diff)
	}
}

func TestWhatCannotBeUsedIsRejectedAndTheRestGoesIn(t *testing.T) {
	c, sales := startCRM(t, 7)
	c.refuse["cdnow-0002"] = codes.FailedPrecondition
	rejects := filepath.Join(t.TempDir(), "orders.txt.rejects.csv")
	const rows = "1 0001 19970101 1 10.00\n1 0001 yesterday 1 10.00\n2 0002 19970101 1 \"10\"\n2 0002 19970101 1 10.00\n3 0003 19970101 1 10.00\n"

	report := run1(t, OrderTasks(sales, strings.NewReader(rows)), &Files{Rejects: rejects})
	if want := (Report{Rows: 5, Imported: 2, Rejected: 3}); report != want {
		t.Errorf("got %+v, want %+v", report, want)
	}
	got := read(t, rejects)
	for _, want := range []string{
		"line,reason,row\n",
		"2,\"the third column is not a day, YYYYMMDD\",1 0001 yesterday 1 10.00\n",
		"3,\"the amount is not a number such as 29.33, of at most two decimals and not below 0\",\"2 0002 19970101 1 \"\"10\"\"\"\n",
		"4,not this one,2 0002 19970101 1 10.00\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}

	// Mended and imported again, nothing is left to reject, and the file goes.
	delete(c.refuse, "cdnow-0002")
	const mended = "1 0001 19970101 1 10.00\n2 0002 19970101 1 10.00\n"
	run1(t, OrderTasks(sales, strings.NewReader(mended)), &Files{Rejects: rejects})
	if _, err := os.Stat(rejects); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old rejects: %v", err)
	}
}

func TestAnErrorThatIsNotTheRowsOwnEndsTheImport(t *testing.T) {
	c, sales := startCRM(t, 7)
	c.refuse["cdnow-0002"] = codes.Internal
	_, err := Run(t.Context(), OrderTasks(sales, bytes.NewReader(sample.Orders)), &Files{}, func() {})
	if status.Code(errors.Unwrap(err)) != codes.Internal || !strings.Contains(err.Error(), "line ") {
		t.Errorf("the import ended with %v", err)
	}
}

func TestAnImportEndsWithItsContext(t *testing.T) {
	c, sales := startCRM(t, 7)
	c.refuse["cdnow-0001"] = codes.Unavailable // for good
	ctx, cancel := context.WithCancel(t.Context())
	rows := 0
	_, err := Run(ctx, OrderTasks(sales, bytes.NewReader(sample.Orders)), &Files{}, func() {
		if rows++; rows == 10 {
			cancel()
		}
	})
	if err == nil {
		t.Error("the import did not notice")
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
