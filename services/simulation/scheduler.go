package simulation

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"
)

// place is who awaits what, and where.
type place struct {
	life  *life // of the service
	job   string
	point Point
	what  string // the stream, the subject of a key, …
}

// column is the point that a fault at the place counts for.
func (p place) column() Point {
	switch p.job {
	case "outbox":
		return Outbox
	case "lease":
		return Lease
	default:
		return p.point
	}
}

func (p place) String() string {
	return fmt.Sprintf("%s, %s: %s %s", p.life.service.name, p.job, p.point, p.what)
}

// verdict is how what waited goes on.
type verdict struct {
	fault Fault
	roll  uint64 // chance, for whatever the point has left to it
}

// waiter is one that waits for its turn.
type waiter struct {
	place
	name  string
	turn  chan verdict
	until time.Time // to which it is delayed
}

var (
	errCrashed = errors.New("the process has ended")
	errBroken  = errors.New("the connection is broken")
)

// scheduler lets one waiter go on at a time.
type scheduler struct {
	random *rand.Rand
	hits   *Hits
	had    [faults]int // how often each has happened
	steps  int
	visits [points]int
	digest hash.Hash        // of the decisions
	tell   func(string)     // each decision, for who looks for what went wrong; may be nil
	happen func(Fault) bool // has something happen; false where it can't
	crash  func(*life)
	leap   time.Duration // how far time is to leap when nobody waits

	active    time.Time   // when something was done last
	most      [faults]int // how often what happens, at most, and how it weighs until then
	brief     bool        // what breaks is soon well again
	calm      bool        // nothing breaks any more
	gathering bool        // messages go first
	ending    bool        // the services are told to end

	mu      sync.Mutex
	waiting []*waiter
	arrived chan struct{}
}

func newScheduler(random *rand.Rand) *scheduler {
	return &scheduler{random: random, hits: &Hits{}, digest: sha256.New(), most: most, arrived: make(chan struct{}, 1)}
}

// await waits for its turn at a place.
func (s *scheduler) await(ctx context.Context, at place) (verdict, error) {
	w := &waiter{place: at, name: at.String(), turn: make(chan verdict, 1)}
	s.mu.Lock()
	dead := at.life.dead
	if !dead {
		s.waiting = append(s.waiting, w)
	}
	s.mu.Unlock()
	if dead {
		return verdict{}, errCrashed
	}
	select {
	case s.arrived <- struct{}{}:
	default: // it is known already
	}
	select {
	case v := <-w.turn:
		if v.fault == Crash {
			return v, errCrashed
		}
		return v, nil
	case <-ctx.Done():
		return verdict{}, s.withdraw(w, ctx.Err())
	}
}

// withdraw ends a wait, and says why. A crash ends what waited in two ways at once;
// it is always the crash that is told.
func (s *scheduler) withdraw(w *waiter, why error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.DeleteFunc(s.waiting, func(other *waiter) bool { return other == w })
	if w.life.dead {
		return errCrashed
	}
	return why
}

// step lets one waiter go on. It returns false when none can.
func (s *scheduler) step() bool {
	synctest.Wait()
	w := s.choose()
	if w == nil {
		return false
	}
	v := verdict{fault: s.misfortune(w), roll: s.random.Uint64()}
	s.note(w, v.fault)
	switch v.fault {
	case Delay:
		w.until = time.Now().Add(s.delay())
		return true
	case Crash:
		s.crash(w.life)
		return true
	}
	s.release(w, v)
	return true
}

// choose returns one of those that can go on, by chance. Their names tell them
// apart, so that the choice does not rest on who came first.
func (s *scheduler) choose() *waiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	able := slices.DeleteFunc(slices.Clone(s.waiting), func(w *waiter) bool {
		return w.until.After(now) || w.point == Begin && w.life.writing
	})
	if len(able) == 0 {
		return nil
	}
	if s.gathers() {
		if messages := slices.DeleteFunc(slices.Clone(able), func(w *waiter) bool { return w.point != Deliver }); len(messages) > 0 {
			able = messages
		}
	}
	slices.SortStableFunc(able, func(a, b *waiter) int { return cmp.Compare(a.name, b.name) })
	return able[s.random.IntN(len(able))]
}

// mood is for how many decisions the scheduler keeps to a habit.
const mood = 64

// gathers tells whether messages go first, so that they are taken in together:
// at times, and when only the end is to be come to.
func (s *scheduler) gathers() bool {
	if s.steps%mood == 0 {
		s.gathering = s.random.IntN(2) == 0
	}
	return s.calm || s.gathering
}

func (s *scheduler) release(w *waiter, v verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.DeleteFunc(s.waiting, func(other *waiter) bool { return other == w })
	if w.point == Begin && v.fault != Disconnect {
		w.life.writing = true
	}
	w.turn <- v
}

// kill ends a life: nothing that waits in it, or will, goes on.
func (s *scheduler) kill(l *life) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.dead = true
	s.waiting = slices.DeleteFunc(s.waiting, func(w *waiter) bool {
		if w.life == l {
			w.turn <- verdict{fault: Crash}
		}
		return w.life == l
	})
}

// ended notes that the transaction of a life is over.
func (s *scheduler) ended(l *life) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.writing = false
}

// note remembers a decision.
func (s *scheduler) note(w *waiter, f Fault) {
	s.steps++
	s.visits[w.column()]++
	if w.job != "measure" && w.job != "eraser" { // which go on for ever
		s.active = time.Now()
	}
	if f != None {
		s.hits[f][w.column()]++
		s.had[f]++
	}
	line := fmt.Sprintf("%s  %s: %s", time.Now().UTC().Format("01-02 15:04:05"), w.name, f)
	_, _ = fmt.Fprintln(s.digest, line) // a hash never fails
	if s.tell != nil {
		s.tell(line)
	}
}

// most is what happens in a story of the simulation's own.
var most = [faults]int{
	Duplicate: 40, Delay: 40, Disconnect: 40, Conflict: 20, Crash: 8, Poison: 8, ClockStep: 8, Migrate: 10, Window: 8, Operate: 8,
}

// oneIn is how rarely something happens at a point: more often at those that are
// seldom come to.
var oneIn = [points]int{
	Append: 10, Appended: 10, Read: 80, Subscribe: 40, Deliver: 200, Begin: 80, Commit: 80, Committed: 80, Key: 40, Partner: 2, Outbox: 60, Lease: 10,
}

// misfortune chooses what happens to a waiter. One that was delayed has had its
// share.
func (s *scheduler) misfortune(w *waiter) Fault {
	if s.calm || !w.until.IsZero() || s.random.IntN(oneIn[w.column()]) != 0 {
		return None
	}
	var left [faults]int
	total := 0
	for f := range left {
		if meaningless(Fault(f), w.point) == "" {
			left[f] = max(0, s.most[f]-s.had[f])
			total += left[f]
		}
	}
	if total == 0 {
		return None
	}
	roll := s.random.IntN(total)
	for f := range left {
		if roll -= left[f]; roll < 0 {
			return s.occur(Fault(f))
		}
	}
	return None
}

// occur has it happen, if it is nothing that the point itself does.
func (s *scheduler) occur(f Fault) Fault {
	if f >= Poison && !s.happen(f) {
		return None
	}
	return f
}

// delay is mostly short, and at times longer than anybody's patience.
func (s *scheduler) delay() time.Duration {
	if s.random.IntN(10) == 0 && !s.brief {
		return time.Duration(s.random.Int64N(int64(10 * time.Minute)))
	}
	return time.Duration(s.random.Int64N(int64(20 * time.Second)))
}

// grain is how exactly the scheduler looks at time: what arrives within it
// arrives at once. It is longer than any pause that is drawn by chance (back-off,
// with what it is spread by), so that no such chance makes a difference.
const grain = 10 * time.Second

// idle lets time pass until something arrives, at most until limit. It returns
// whether something can be done then.
func (s *scheduler) idle(done <-chan struct{}, limit time.Duration) bool {
	arrived := true
	if s.leap > 0 {
		pause(s.leap)
		s.leap = 0
	} else {
		arrived = s.rest(done, limit)
	}
	pause(grain - time.Duration(time.Now().UnixNano())%grain)
	return arrived
}

func (s *scheduler) rest(done <-chan struct{}, limit time.Duration) (arrived bool) {
	select {
	case <-s.arrived: // before step looked
	default:
	}
	select {
	case <-s.arrived:
	case <-done:
	case <-time.After(s.next(limit)):
		return s.next(limit) < limit
	}
	return true
}

// next is when a waiter is delayed to, at most limit.
func (s *scheduler) next(limit time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.waiting {
		limit = min(limit, max(0, time.Until(w.until)))
	}
	return limit
}

// longest is how many decisions a run takes at most: some four times as many as
// it does.
const longest = 150_000

// tooLong tells whether a run goes on and on.
func (s *scheduler) tooLong() bool { return s.steps > longest && !s.ending }

// until lets everything go on until done is closed, or it has taken too long.
func (s *scheduler) until(done <-chan struct{}) {
	for {
		for s.step() {
			if s.tooLong() {
				return
			}
		}
		select {
		case <-done:
			return
		default:
			s.idle(done, time.Hour)
		}
	}
}

// pause lets time pass in the bubble.
func pause(d time.Duration) { <-time.After(d) }
