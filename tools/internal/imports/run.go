package imports

import (
	"context"
	"fmt"
	"hash/fnv"
	"iter"
	"sync"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Lanes is how many calls are in flight. Rows of one customer go by one lane,
// in order; 16 of them fill the store's group commit without drowning the
// service.
const Lanes = 16

// laneLength is how many rows wait in a lane, so that a customer with many
// orders does not keep the other lanes empty.
const laneLength = 64

// Task is one row on its way into CRM.
type Task struct {
	Line    int
	Text    string // the row as it stands in the file
	Lane    string // tasks of one lane go in order: the customer's number
	Kept    bool   // not to be imported, but kept
	Problem error  // why it can't be used, nil when it can
	// Send makes the call. It repeats what may be repeated by itself.
	Send func(context.Context) error
}

// Reject is a row that did not go in.
type Reject struct {
	Line   int
	Reason string
	Row    string
}

// Report tells what became of a file's rows.
type Report struct {
	// Rows is how many rows there were: the sum of the others.
	Rows int `json:"rows"`
	// Imported is how many went in, those that were there already included.
	Imported int `json:"imported"`
	// Kept is how many were kept for the matching of records.
	Kept int `json:"kept"`
	// Rejected is how many went to the rejects.
	Rejected int `json:"rejected"`
}

// Sink takes what does not go in. Its methods are called one at a time.
type Sink interface {
	// Reject takes a row that can't be used, or that CRM refuses.
	Reject(Reject) error
	// Keep takes a row that is kept for the matching of records.
	Keep(row string) error
}

// Run sends the tasks, and calls done after each row. A row that CRM refuses for
// its own sake is rejected; any other error ends the import, which can be run
// again.
func Run(ctx context.Context, tasks iter.Seq2[Task, error], sink Sink, done func()) (Report, error) {
	g, ctx := errgroup.WithContext(ctx)
	r := &run{sink: sink, done: done}
	lanes := make([]chan Task, Lanes)
	for i := range lanes {
		lane := make(chan Task, laneLength)
		lanes[i] = lane
		g.Go(func() error { return r.work(ctx, lane) })
	}
	g.Go(func() error {
		defer func() {
			for _, lane := range lanes {
				close(lane)
			}
		}()
		return r.deal(ctx, tasks, lanes)
	})
	err := g.Wait()
	return r.report, err
}

type run struct {
	sink Sink
	done func()

	mu     sync.Mutex
	report Report
}

// deal gives each task to the lane of its customer.
func (r *run) deal(ctx context.Context, tasks iter.Seq2[Task, error], lanes []chan Task) error {
	for task, err := range tasks {
		if err != nil {
			return err
		}
		if task.Kept || task.Problem != nil {
			if err := r.putAside(task); err != nil {
				return err
			}
			continue
		}
		select {
		case lanes[laneOf(task.Lane)] <- task:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func laneOf(name string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	return h.Sum32() % Lanes
}

func (r *run) work(ctx context.Context, lane <-chan Task) error {
	for task := range lane {
		err := task.Send(ctx)
		if reason, refused := refusal(err); refused {
			err = r.reject(task, reason)
		} else if err == nil {
			r.count(func(report *Report) { report.Imported++ })
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", task.Line, err)
		}
	}
	return nil
}

// refusal tells whether CRM has refused a row for the row's own sake: sending it
// again would not help.
func refusal(err error) (reason string, refused bool) {
	s, ok := status.FromError(err)
	if err == nil || !ok {
		return "", false
	}
	switch s.Code() {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.AlreadyExists, codes.NotFound, codes.OutOfRange, codes.ResourceExhausted:
		return s.Message(), true
	default:
		return "", false
	}
}

func (r *run) putAside(task Task) error {
	if task.Problem != nil {
		return r.reject(task, task.Problem.Error())
	}
	return r.aside(func(report *Report) error {
		report.Kept++
		return r.sink.Keep(task.Text)
	})
}

func (r *run) reject(task Task, reason string) error {
	return r.aside(func(report *Report) error {
		report.Rejected++
		return r.sink.Reject(Reject{Line: task.Line, Reason: reason, Row: task.Text})
	})
}

func (r *run) aside(put func(*Report) error) (err error) {
	r.count(func(report *Report) { err = put(report) })
	return err
}

func (r *run) count(add func(*Report)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.report)
	r.report.Rows++
	r.done()
}
