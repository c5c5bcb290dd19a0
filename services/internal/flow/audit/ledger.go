package audit

import (
	"cmp"
	"slices"

	"github.com/google/uuid"

	"github.com/triangle-suite/triangle/services/internal/digest"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

// Event is what an audit needs of an event of the log.
type Event struct {
	ID       uuid.UUID
	Type     string
	Key      string
	Position eventlog.Position
}

// Line counts the events of one version of a flow's types.
type Line struct {
	Version
	// Produced is how many the log has. Filtered of them are none of the
	// consumer's business, Parked are put aside.
	Produced, Filtered, Parked uint64
	// Missing, Twice and OutOfOrder are at fault; Unexplained have a key whose
	// chain nothing explains.
	Missing, Twice, OutOfOrder, Unexplained uint64
}

// Delivered is how many events the chains of their keys show to be taken in, and
// that are neither parked nor skipped.
func (l Line) Delivered() uint64 {
	gone := l.Filtered + l.Parked + l.Missing + l.Unexplained
	return l.Produced - min(gone, l.Produced)
}

// Closes tells whether every event is accounted for, once and in order.
func (l Line) Closes() bool {
	return l.Produced == l.Delivered()+l.Filtered+l.Parked && l.Missing+l.Twice+l.OutOfOrder+l.Unexplained == 0
}

// Aside is why an event that was taken in is not delivered.
type Aside int

// The reasons.
const (
	Parked Aside = iota + 1
	Skipped
)

// Ledger is what the log says that a consumer should have done. It holds a chain
// for each key, and no events.
type Ledger struct {
	Range Range
	Lines []Line // one per version
	// Aside are the events that are parked or were skipped.
	Aside map[uuid.UUID]Aside

	versions []Version
	accounts []*Account
	found    map[uuid.UUID]bool // of Aside
}

// Account is an epoch's part of a ledger: what the consumer's chains of that
// epoch are to be.
type Account struct {
	Epoch
	// Events is how many there are.
	Events uint64
	chains map[string]Chain
}

// NewLedger returns the ledger of a range. Chains are kept for each of epochs,
// whole, up to the last place that has been taken in.
func NewLedger(r Range, versions []Version, epochs []Epoch, aside map[uuid.UUID]Aside) *Ledger {
	l := &Ledger{Range: r, Aside: aside, versions: versions, found: map[uuid.UUID]bool{}}
	for _, v := range versions {
		l.Lines = append(l.Lines, Line{Version: v})
	}
	for _, e := range epochs {
		l.accounts = append(l.accounts, &Account{Epoch: e, chains: map[string]Chain{}})
	}
	return l
}

// Accounts returns the accounts of the ledger's epochs.
func (l *Ledger) Accounts() []*Account { return l.accounts }

// Add adds an event of the log, in the log's order. It tells whether the event is
// in the range and was delivered, as far as the log and what is aside can tell.
func (l *Ledger) Add(e Event) (delivered bool) {
	version, due := place(l.versions, e.Type, e.Position)
	if version < 0 {
		return false
	}
	if due {
		l.link(e)
	}
	aside := l.Aside[e.ID]
	if aside != 0 {
		l.found[e.ID] = true
	}
	if !l.Range.has(e.Position) {
		return false
	}
	line := &l.Lines[version]
	line.Produced++
	switch {
	case !due || aside == Skipped:
		line.Filtered++
	case aside == Parked:
		line.Parked++
	default:
		return true
	}
	return false
}

func (l *Ledger) link(e Event) {
	for _, a := range l.accounts {
		if a.has(e.Position) {
			a.chains[e.Key] = a.chains[e.Key].Next(e.ID)
			a.Events++
		}
	}
}

// Unknown returns the events that are said to be parked and that the log did not
// have.
func (l *Ledger) Unknown() (ids []uuid.UUID) {
	for id, why := range l.Aside {
		if why == Parked && !l.found[id] {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return ids
}

// Keys is how many keys the account has.
func (a *Account) Keys() int { return len(a.chains) }

// Sum is the sum of the chains: what an intake digest is.
func (a *Account) Sum() (s digest.Sum) {
	for _, c := range a.chains {
		s = s.Plus(digest.Hash(c))
	}
	return s
}

// Suspect is a key whose chain is not what it should be.
type Suspect struct {
	Epoch uint64
	Key   string
	// Got is the chain that the consumer keeps; zero when it keeps none.
	Got Chain
	// Events are the key's events in the epoch, or the first ones of very many.
	Events []Event
}

// Rows compares an account with the chains that a consumer keeps.
type Rows struct {
	// Keys is how many there are, and Sum the sum of their chains.
	Keys uint64
	Sum  digest.Sum
	// Differ are those that are not what they should be.
	Differ []*Suspect

	account *Account
	right   map[string]bool
}

// Compare begins a comparison with the rows of a consumer.
func (a *Account) Compare() *Rows { return &Rows{account: a, right: map[string]bool{}} }

// Add adds a row.
func (r *Rows) Add(key string, got Chain) {
	r.Keys++
	r.Sum = r.Sum.Plus(digest.Hash(got))
	want, known := r.account.chains[key]
	if known {
		r.right[key] = true
	}
	if !known || want != got {
		r.Differ = append(r.Differ, &Suspect{Epoch: r.account.Number, Key: key, Got: got})
	}
}

// End ends the comparison, when all rows have been added.
func (r *Rows) End() {
	if len(r.right) < len(r.account.chains) {
		for key := range r.account.chains {
			if !r.right[key] {
				r.Differ = append(r.Differ, &Suspect{Epoch: r.account.Number, Key: key})
			}
		}
	}
	slices.SortFunc(r.Differ, func(a, b *Suspect) int { return cmp.Compare(a.Key, b.Key) })
}
