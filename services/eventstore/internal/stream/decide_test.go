package stream

import (
	"errors"
	"testing"

	"github.com/google/uuid"
)

// fakeHistory is a stream whose event at revision i has the i-th id; recent
// are the revisions that are remembered by id.
type fakeHistory struct {
	ids    []uuid.UUID
	recent []int64
	fault  error
}

func (h fakeHistory) Recent(id uuid.UUID) (int64, bool) {
	for _, revision := range h.recent {
		if h.ids[revision] == id {
			return revision, true
		}
	}
	return 0, false
}

func (h fakeHistory) IDAt(revision int64) (uuid.UUID, error) {
	if revision < 0 || revision >= int64(len(h.ids)) {
		return uuid.Nil, h.fault
	}
	return h.ids[revision], h.fault
}

func TestDecide(t *testing.T) {
	var (
		a, b, c = uuid.New(), uuid.New(), uuid.New()
		x, y    = uuid.New(), uuid.New()
		abc     = fakeHistory{ids: []uuid.UUID{a, b, c}, recent: []int64{0, 1, 2}}
		old     = fakeHistory{ids: []uuid.UUID{a, b, c}} // nothing remembered
		late    = fakeHistory{ids: []uuid.UUID{a, b, c}, recent: []int64{1, 2}}

		three      = State{Last: 2}
		tombstoned = State{Last: 2, Tombstoned: true}
		soft       = State{Last: 2, HasMetadata: true, Limits: Limits{TruncateBefore: MaxRevision}}
		onlyMeta   = State{Last: None, HasMetadata: true}

		write    = Decision{Outcome: Write}
		wrong    = Decision{Outcome: WrongVersion}
		deleted  = Decision{Outcome: Deleted}
		repeated = func(last int64) Decision { return Decision{Outcome: Repeated, Last: last} }
	)
	cases := map[string]struct {
		state    State
		expected Expected
		ids      []uuid.UUID
		history  fakeHistory
		want     Decision
	}{
		"tombstoned, any":                     {tombstoned, Any, []uuid.UUID{x}, abc, deleted},
		"tombstoned, exists":                  {tombstoned, Exists, []uuid.UUID{x}, abc, deleted},
		"tombstoned, no stream":               {tombstoned, NoStream, []uuid.UUID{x}, abc, deleted},
		"tombstoned, right revision":          {tombstoned, 2, []uuid.UUID{x}, abc, deleted},
		"tombstoned, no events":               {tombstoned, 2, nil, abc, deleted},
		"tombstoned, even a retry":            {tombstoned, Any, []uuid.UUID{a}, abc, deleted},
		"any: nothing there":                  {Missing, Any, []uuid.UUID{x}, fakeHistory{}, write},
		"any: new events":                     {three, Any, []uuid.UUID{x, y}, abc, write},
		"any: all known":                      {three, Any, []uuid.UUID{a, b}, abc, repeated(1)},
		"any: all known, from the middle":     {three, Any, []uuid.UUID{b, c}, abc, repeated(2)},
		"any: forgotten":                      {three, Any, []uuid.UUID{a, b}, old, write},
		"any: the first is forgotten":         {three, Any, []uuid.UUID{a, b}, late, write},
		"any: the second is new":              {three, Any, []uuid.UUID{a, x}, abc, wrong},
		"any: the first is new":               {three, Any, []uuid.UUID{x, a}, abc, write},
		"any: no events":                      {three, Any, nil, abc, write},
		"exists: nothing there":               {Missing, Exists, []uuid.UUID{x}, fakeHistory{}, wrong},
		"exists: new events":                  {three, Exists, []uuid.UUID{x}, abc, write},
		"exists: all known":                   {three, Exists, []uuid.UUID{c}, abc, repeated(2)},
		"exists: partly known":                {three, Exists, []uuid.UUID{c, x}, abc, wrong},
		"exists: metadata only":               {onlyMeta, Exists, []uuid.UUID{x}, fakeHistory{}, write},
		"exists: softly deleted":              {soft, Exists, []uuid.UUID{x}, abc, deleted},
		"no stream: nothing there":            {Missing, NoStream, []uuid.UUID{x}, fakeHistory{}, write},
		"no stream: metadata only":            {onlyMeta, NoStream, []uuid.UUID{x}, fakeHistory{}, write},
		"no stream: there is one":             {three, NoStream, []uuid.UUID{x}, abc, wrong},
		"no stream: a retry of the start":     {three, NoStream, []uuid.UUID{a, b}, old, repeated(1)},
		"no stream: a retry of all":           {three, NoStream, []uuid.UUID{a, b, c}, old, repeated(2)},
		"no stream: a retry and more":         {three, NoStream, []uuid.UUID{a, b, c, x}, old, wrong},
		"no stream: a retry, then another":    {three, NoStream, []uuid.UUID{a, x}, old, wrong},
		"no stream: no events":                {three, NoStream, nil, abc, wrong},
		"no stream: no events, nothing there": {Missing, NoStream, nil, fakeHistory{}, write},
		"no stream: softly deleted":           {soft, NoStream, []uuid.UUID{x}, abc, write},
		"no stream: softly deleted, a retry":  {soft, NoStream, []uuid.UUID{a}, old, repeated(0)},
		"no stream: softly deleted, partly":   {soft, NoStream, []uuid.UUID{a, x}, old, wrong},
		"revision: the last":                  {three, 2, []uuid.UUID{x}, abc, write},
		"revision: the last, same id again":   {three, 2, []uuid.UUID{c}, abc, write},
		"revision: the last, no events":       {three, 2, nil, abc, write},
		"revision: softly deleted, the last":  {soft, 2, []uuid.UUID{x}, abc, write},
		"revision: softly deleted, behind":    {soft, 1, []uuid.UUID{x}, abc, wrong},
		"revision: below, others there":       {three, 0, []uuid.UUID{x}, abc, wrong},
		"revision: below, a retry":            {three, 0, []uuid.UUID{b, c}, old, repeated(2)},
		"revision: below, a part of a retry":  {three, 0, []uuid.UUID{b}, old, repeated(1)},
		"revision: below, a shifted retry":    {three, 0, []uuid.UUID{c}, old, wrong},
		"revision: below, a retry and more":   {three, 1, []uuid.UUID{c, x}, old, wrong},
		"revision: below, no events":          {three, 0, nil, abc, wrong},
		"revision: above":                     {three, 3, []uuid.UUID{x}, abc, wrong},
		"revision: above, no events":          {three, 3, nil, abc, wrong},
		"revision: nothing there":             {Missing, 0, []uuid.UUID{x}, fakeHistory{}, wrong},
		"the nil id is no retry of nothing":   {three, 1, []uuid.UUID{c, uuid.Nil}, old, wrong},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Decide(tc.state, tc.expected, tc.ids, tc.history)
			if err != nil {
				t.Fatal(err)
			}
			if got != tc.want {
				t.Errorf("decided %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestDecideFailsAsHistoryDoes(t *testing.T) {
	fault := errors.New("unreadable")
	_, err := Decide(State{Last: 2}, 0, []uuid.UUID{uuid.New()}, fakeHistory{fault: fault})
	if !errors.Is(err, fault) {
		t.Errorf("failed with %v, want %v", err, fault)
	}
}
