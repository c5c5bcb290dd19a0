// Package workforce tells how many agents calls need, and how long callers wait
// for as many as there are. It is arithmetic, and knows nothing of channels.
//
// Calls come by chance (a Poisson process), take an exponential time on average
// as long as the handling time, and are answered by the first of equal agents to
// be free, in the order in which they came. Who finds all agents busy is turned
// away (Erlang B, M/M/n/n) or waits without ever hanging up (Erlang C, M/M/n).
//
// The formulas are A. K. Erlang's, of "Solution of some Problems in the Theory of
// Probabilities of Significance in Automatic Telephone Exchanges", The Post Office
// Electrical Engineers' Journal 10 (1918), pp. 189-197. How call centres use them
// is in N. Gans, G. Koole and A. Mandelbaum, "Telephone Call Centers: Tutorial,
// Review, and Research Prospects", Manufacturing & Service Operations Management
// 5 (2003), pp. 79-141.
package workforce

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrUnstable says that more work comes in than the agents can ever do: the queue
// grows without end, and so there is no waiting time to be told.
var ErrUnstable = errors.New("the load is not below the number of agents: the queue grows without end")

// ErrTooFew says that the agents are not enough, all of them.
var ErrTooFew = errors.New("there are too few agents for the service level")

// Load is how many agents calls keep busy on average, in erlang: how many come in
// an hour, times how many hours one of them takes.
func Load(perHour float64, handling time.Duration) float64 { return perHour * handling.Hours() }

// Blocked is Erlang's first formula, Erlang B: how likely a call finds all agents
// busy where none may wait.
//
// It is computed by the recursion over the number of agents,
//
//	B(0) = 1, B(n) = load B(n-1) / (n + load B(n-1)),
//
// which adds and divides positive numbers of at most the size of n only: nothing
// overflows, as the powers and factorials of the formula itself do, and nothing
// cancels. See O. Hudousek, "Evaluation of the Erlang-B formula", Czech Technical
// University in Prague, equation 3.
func Blocked(load float64, agents int) float64 {
	blocked := 1.0
	for n := 1; n <= agents; n++ {
		blocked = oneMore(load, blocked, n)
	}
	return blocked
}

// oneMore is a step of the recursion: to n agents from one less.
func oneMore(load, blocked float64, n int) float64 {
	offered := load * blocked
	return offered / (float64(n) + offered)
}

// Queue is a number of agents and the calls that they answer.
type Queue struct {
	// Load is that of the calls, in erlang; not negative.
	Load float64
	// Handling is how long a call takes on average.
	Handling time.Duration
	// Agents is how many there are.
	Agents int
}

// Answering is how a queue does once it has settled.
type Answering struct {
	queue Queue
	// Waiting is how likely a call has to wait: Erlang's second formula, Erlang C.
	Waiting float64
}

// Answering computes how the queue does. Erlang C follows from Erlang B:
//
//	C = n B / (n - load (1 - B))
//
// It fails with ErrUnstable when the load is as large as the number of agents, or
// larger.
func (q Queue) Answering() (Answering, error) {
	if math.IsNaN(q.Load) || q.Load >= float64(q.Agents) {
		return Answering{}, fmt.Errorf("%.4g erlang for %d agents: %w", q.Load, q.Agents, ErrUnstable)
	}
	return q.answering(Blocked(q.Load, q.Agents)), nil
}

func (q Queue) answering(blocked float64) Answering {
	n := float64(q.Agents)
	return Answering{queue: q, Waiting: n * blocked / (n - q.Load*(1-blocked))}
}

// ServiceLevel is which share of the calls is answered within a time: all but
// those that wait longer, 1 - C exp(-(n - load) within / handling).
func (a Answering) ServiceLevel(within time.Duration) float64 {
	return 1 - a.Waiting*math.Exp(-a.spare()*within.Seconds()/a.queue.Handling.Seconds())
}

// MeanWait is how long a call waits on average, those among them that do not wait:
// C handling / (n - load).
func (a Answering) MeanWait() time.Duration {
	return time.Duration(a.Waiting / a.spare() * float64(a.queue.Handling))
}

// Occupancy is which share of their time the agents are busy.
func (a Answering) Occupancy() float64 { return a.queue.Load / float64(a.queue.Agents) }

func (a Answering) spare() float64 { return float64(a.queue.Agents) - a.queue.Load }

// Target is a service level: which share of the calls is to be answered within
// which time.
type Target struct {
	Share  float64 // above 0 and below 1
	Within time.Duration
}

// Needed is the least number of agents, of those that there are, with whom the
// target is met. Without calls none is needed. It fails with ErrUnstable, or with
// ErrTooFew, when all of them are not enough.
func Needed(load float64, handling time.Duration, target Target, agents int) (int, error) {
	if load <= 0 {
		return 0, nil
	}
	if _, err := (Queue{load, handling, agents}).Answering(); err != nil {
		return 0, err
	}
	least := int(load) + 1
	blocked := Blocked(load, least-1)
	for n := least; n <= agents; n++ {
		blocked = oneMore(load, blocked, n)
		if (Queue{load, handling, n}).answering(blocked).ServiceLevel(target.Within) >= target.Share {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%d agents do not answer a share of %.4g of %.4g erlang within %s: %w", agents, target.Share, load, target.Within, ErrTooFew)
}
