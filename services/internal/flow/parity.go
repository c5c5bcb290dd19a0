package flow

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/services/internal/codec"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// shadowTables are what an intake notes while its flow has a shadow; the shadow's
// own intake notes the same in the shadow's database.
var shadowTables = projection.Schema{Name: "flow_shadow", Version: 1, Tables: []string{
	`CREATE TABLE flow_shadow (
		flow TEXT PRIMARY KEY, id TEXT NOT NULL, windows_of TEXT NOT NULL,
		commit_position BIGINT NOT NULL, prepare_position BIGINT NOT NULL, steered BIGINT NOT NULL)`,
	`CREATE TABLE flow_shadow_cause (
		flow TEXT, reaction TEXT, cause_id TEXT, answer_id TEXT NOT NULL, times BIGINT NOT NULL, fate TEXT NOT NULL,
		commit_position BIGINT NOT NULL, prepare_position BIGINT NOT NULL, steered BIGINT NOT NULL,
		PRIMARY KEY (flow, reaction, cause_id))`,
	`CREATE INDEX flow_shadow_cause_place ON flow_shadow_cause (flow, commit_position)`,
}}

// windowsOf tells whose windows are markers of comparison: those of the slower
// one, as the other one has little to wait for when it comes to them.
type windowsOf string

const (
	windowsOfFlow   windowsOf = "flow"
	windowsOfShadow windowsOf = "shadow"
)

// parity is a row of flow_shadow: what an intake has to do so that a flow and its
// shadow can be compared. The intakes of both have one.
type parity struct {
	flow      string
	shadow    string // its id
	stream    string // the shadow's
	control   string // the flow's
	windowsOf windowsOf
	// after is the place up to which nothing is to be compared: where the shadow
	// began, or the last comparison was; steered tells how many requests about
	// parked events had been followed then. The flow's own intake leaves them open.
	after   eventlog.Position
	steered uint64
}

// marks tells whether flow and shadow are compared at an event.
func (p *parity) marks(e eventlog.Event) bool {
	switch {
	case p == nil || e.Position.Compare(p.after) <= 0:
		return false
	case e.Type == markerSet:
		return e.Stream == p.stream
	case p.windowsOf == windowsOfShadow:
		return e.Type == windowOpened && e.Stream == p.stream
	default:
		return e.Type == windowRequested && e.Stream == p.control ||
			e.Type == windowOpened && strings.HasPrefix(e.Stream, p.control+":")
	}
}

// loadParity returns nil when the flow has no shadow.
func loadParity(ctx context.Context, q projection.Querier, flow string) (*parity, error) {
	p := &parity{flow: flow, control: flows.ControlStream(flow)}
	err := q.QueryRow(ctx, `SELECT id, windows_of, commit_position, prepare_position, steered FROM flow_shadow WHERE flow = ?`, flow).
		Scan(&p.shadow, &p.windowsOf, &p.after.Commit, &p.after.Prepare, &p.steered)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look whether %s has a shadow: %w", flow, err)
	}
	p.stream = flows.ShadowStream(flow, p.shadow)
	return p, nil
}

func (p *parity) store(ctx context.Context, tx *projection.Tx) error {
	_, err := tx.Exec(ctx, `INSERT INTO flow_shadow (flow, id, windows_of, commit_position, prepare_position, steered) VALUES (?,?,?,?,?,?)
		ON CONFLICT (flow) DO UPDATE SET id = excluded.id, windows_of = excluded.windows_of,
			commit_position = excluded.commit_position, prepare_position = excluded.prepare_position, steered = excluded.steered`,
		p.flow, p.shadow, string(p.windowsOf), p.after.Commit, p.after.Prepare, p.steered)
	if err != nil {
		return fmt.Errorf("note that %s has a shadow: %w", p.flow, err)
	}
	return nil
}

// fate is what became of a cause: answered, or late. A late one has been
// declined, or waits until it is known whether a later one of its key comes.
type fate string

const (
	fateAnswered fate = "answered"
	fateLate     fate = "late"
)

// note notes, while there is a shadow, that a reaction has taken a cause. It is
// done in the transaction that takes the cause in, on either side, so that the
// causes are exact at any marker.
func (t *taking) note(ctx context.Context, r Reaction, event codec.Event, late bool) error {
	if !t.noting {
		return nil
	}
	became := fateAnswered
	if late {
		became = fateLate
	}
	_, err := t.tx.Exec(ctx, `INSERT INTO flow_shadow_cause
			(flow, reaction, cause_id, answer_id, times, fate, commit_position, prepare_position, steered) VALUES (?,?,?,?,1,?,?,?,?)
		ON CONFLICT (flow, reaction, cause_id) DO UPDATE SET times = flow_shadow_cause.times + 1, fate = excluded.fate,
			commit_position = excluded.commit_position, prepare_position = excluded.prepare_position, steered = excluded.steered`,
		t.cp.flow, r.Name, event.ID.String(), t.cause(r, event).Origin.NewID("answer").String(), string(became),
		t.cp.position.Commit, t.cp.position.Prepare, t.cp.steered)
	if err != nil {
		return fmt.Errorf("note a cause for the shadow: %w", err)
	}
	return nil
}

// noteAnswered notes that a late cause is answered after all. One that has been
// compared is noted no more.
func (t *taking) noteAnswered(ctx context.Context, r Reaction, event codec.Event) error {
	if !t.noting {
		return nil
	}
	_, err := t.tx.Exec(ctx, `UPDATE flow_shadow_cause SET fate = ? WHERE flow = ? AND reaction = ? AND cause_id = ?`,
		string(fateAnswered), t.cp.flow, r.Name, event.ID.String())
	if err != nil {
		return fmt.Errorf("note a cause for the shadow: %w", err)
	}
	return nil
}

// forgetCauses deletes the causes of a flow that have been compared, some at a
// time, as others want to write meanwhile.
func forgetCauses(ctx context.Context, db *projection.DB, flow string, compared eventlog.Position, steered uint64) error {
	for {
		var last sql.Null[uint64] // place of those that are deleted now
		err := db.QueryRow(ctx, `SELECT max(commit_position) FROM (SELECT commit_position FROM flow_shadow_cause
			WHERE flow = ? AND commit_position <= ? AND steered <= ? ORDER BY commit_position LIMIT ?) AS oldest`,
			flow, compared.Commit, steered, purged).Scan(&last)
		if err != nil {
			return fmt.Errorf("forget causes that have been compared: %w", err)
		}
		if !last.Valid {
			return nil
		}
		err = db.UpdateQuietly(ctx, func(tx *projection.Tx) error {
			_, err := tx.Exec(ctx, `DELETE FROM flow_shadow_cause WHERE flow = ? AND commit_position <= ? AND steered <= ?`, flow, last.V, steered)
			return err
		})
		if err != nil {
			return fmt.Errorf("forget causes that have been compared: %w", err)
		}
	}
}

// retainAt freezes the flow's tables when the last event that was taken in is a
// marker of comparison. The next batch is taken in after that.
func (in *Intake) retainAt(ctx context.Context, e eventlog.Event) error {
	if !in.parity.Load().marks(e) {
		return nil
	}
	kept, err := in.retain(ctx)
	if err == nil && !kept {
		in.miss(e.ID.String())
	}
	return err
}

// miss notes that nothing could be kept at a marker, as an earlier comparison is
// under way, and tells whoever waits for it.
func (in *Intake) miss(marker string) {
	in.missed.Store(&marker)
	wake(in.shadowNews)
}

// missedAt tells whether miss has noted a marker last.
func (in *Intake) missedAt(marker string) bool {
	last := in.missed.Load()
	return last != nil && *last == marker
}

// retainAgain freezes a shadow that stands at a marker of comparison: it may have
// been stopped before it could.
func (in *Intake) retainAgain(ctx context.Context) error {
	if !in.dry {
		return nil
	}
	for e, err := range in.streams.Log.ReadAll(ctx, eventlog.Forward, &in.cp.position, 1) {
		if err != nil {
			return fmt.Errorf("look where the shadow stands: %w", err)
		}
		if e.ID.String() == in.cp.eventID {
			return in.retainAt(ctx, e)
		}
	}
	return nil
}

// handOver is how the flow's own intake freezes: it opens a snapshot, which costs
// it next to nothing, and goes on. Whoever keeps the shadow copies from it.
func (in *Intake) handOver(ctx context.Context) (kept bool, err error) {
	// The snapshot outlives the gate that is open now.
	snapshot, err := in.db.Snapshot(context.WithoutCancel(ctx))
	if err != nil {
		return false, err
	}
	if !in.handed.put(snapshot) {
		return false, snapshot.Close()
	}
	wake(in.shadowNews)
	return true, nil
}

// handed is a snapshot on its way. There is room for one, while somebody takes
// them.
type handed struct {
	mu       sync.Mutex
	taken    bool // whether somebody takes them
	snapshot *projection.Snapshot
}

func (h *handed) put(s *projection.Snapshot) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.taken || h.snapshot != nil {
		return false
	}
	h.snapshot = s
	return true
}

func (h *handed) take() *projection.Snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.snapshot
	h.snapshot = nil
	return s
}

func (h *handed) open() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken = true
}

// close lets no more in, and closes what is there.
func (h *handed) close() error {
	h.mu.Lock()
	h.taken = false
	h.mu.Unlock()
	if s := h.take(); s != nil {
		return s.Close()
	}
	return nil
}

// resumeParity goes on with a shadow that the flow has had before this term.
func (in *Intake) resumeParity(ctx context.Context, tx *projection.Tx) error {
	if in.dry {
		return nil
	}
	p, err := loadParity(ctx, tx, in.consumer.Flow.Name)
	if err != nil {
		return err
	}
	in.parity.Store(p)
	return nil
}
