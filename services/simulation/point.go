package simulation

// Point is where a service awaits something.
type Point int

// The await points. Outbox and Lease are those of a runtime's own work, whatever
// it awaits there.
const (
	Append    Point = iota // about to append
	Appended               // an append took effect, and its answer is awaited
	Read                   // a stream, or $all
	Subscribe              // to a stream, or to $all
	Deliver                // the next message of a subscription
	Begin                  // a transaction
	Commit                 // about to commit
	Committed              // a commit took effect, and its answer is awaited
	Key                    // a key of the key ring
	Partner                // an outside partner's answer
	Outbox                 // control events are told
	Lease                  // the ownership of the flows
	points
)

var pointNames = [points]string{
	"append", "appended", "read", "subscribe", "deliver", "begin", "commit", "committed", "key", "partner", "outbox", "lease",
}

func (p Point) String() string { return pointNames[p] }

// Fault is what happens at an await point.
type Fault int

// The faults. The first ones break what is awaited, the others happen meanwhile.
const (
	None       Fault = iota
	Duplicate        // done, delivered or asked twice
	Delay            // goes on later
	Disconnect       // the connection breaks: without effect, or the answer is lost
	Conflict         // another writer is first
	Crash            // the service ends here, and starts again later
	Poison           // an event arrives that can't be taken in
	ClockStep        // a clock steps, or time leaps, by up to a day
	Migrate          // a flow is asked to go on at another cadence
	Window           // a flow is asked for a window
	Operate          // an operator retries or skips what is parked
	faults
)

var faultNames = [faults]string{
	"none", "duplicate", "delay", "disconnect", "conflict", "crash", "poison", "clock step", "migration", "window", "operator",
}

func (f Fault) String() string { return faultNames[f] }

// meaningless says why a fault can't be at a point; empty: it can, and has to be
// hit.
func meaningless(f Fault, p Point) string {
	switch f {
	case Duplicate:
		switch p {
		case Append, Deliver, Partner, Outbox:
			return ""
		case Appended:
			return "whoever awaits an answer hears the first one only"
		case Read, Subscribe, Key:
			return "to ask twice for what does not change is to ask once"
		default:
			return "a transaction is done once: its connection is not shared"
		}
	case Conflict:
		if p == Append || p == Outbox {
			return ""
		}
		return "only writers of one stream compete: a database in a file has one writer"
	default:
		return ""
	}
}

// Hits counts faults by the point at which they happened.
type Hits [faults][points]int

// Add adds other hits.
func (h *Hits) Add(other *Hits) {
	for f := range h {
		for p := range h[f] {
			h[f][p] += other[f][p]
		}
	}
}
