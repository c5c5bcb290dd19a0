package storage

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/triangle-suite/triangle/services/eventstore/internal/journal"
)

// ErrIndexDamaged says that the index is not what the journal makes it.
var ErrIndexDamaged = errors.New("the index is damaged")

// scratchFolder is where Verify makes the index again.
const scratchFolder = "verify.tmp"

// verifyIndex makes the index again from the journal, up to where the index
// is, and compares the two.
func verifyIndex(dir string, opts Options, report func(error)) (indexedTo uint64, err error) {
	fs := opts.FS
	scratch := fs.PathJoin(dir, scratchFolder)
	if err := fs.RemoveAll(scratch); err != nil { // of a run that was cut short
		return 0, fmt.Errorf("verify the index: %w", err)
	}
	defer func() { err = errors.Join(err, fs.RemoveAll(scratch)) }()
	there, err := openIndex(fs, fs.PathJoin(dir, indexFolder), readOnly, opts, newFaults(opts.Logger))
	if err != nil {
		report(fmt.Errorf("%w: %w", ErrIndexDamaged, err))
		return 0, nil
	}
	defer func() { err = errors.Join(err, there.db.Close()) }()
	if indexedTo, err = there.last(); err != nil {
		report(fmt.Errorf("%w: %w", ErrIndexDamaged, err))
		return 0, nil
	}
	made, err := openIndex(fs, scratch, readWrite, opts, newFaults(opts.Logger))
	if err != nil {
		return 0, fmt.Errorf("verify the index: %w", err)
	}
	defer func() { err = errors.Join(err, made.db.Close()) }()
	if err := made.fill(fs.PathJoin(dir, journalFolder), opts, indexedTo); err != nil {
		return 0, fmt.Errorf("verify the index: %w", err)
	}
	return indexedTo, compare(there.db, made.db, report)
}

// fill indexes the events of the journal in folder dir, up to position last.
func (x *index) fill(dir string, opts Options, last uint64) (err error) {
	if last == 0 {
		return nil
	}
	log, err := journal.OpenReadOnly(dir, journal.Options{FS: opts.FS, Logger: opts.Logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Abandon()) }()
	r := replay{index: x, states: newStates(x.db)}
	for record, err := range log.Forward(0, math.MaxUint64) {
		if err != nil {
			return err
		}
		if err := r.take(record); err != nil {
			return err
		}
		if record.Position >= last {
			break
		}
	}
	return r.flush()
}

// compare reports the first few keys by which two indexes differ.
func compare(there, made *pebble.DB, report func(error)) (err error) {
	a, err := there.NewIter(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	b, err := made.NewIter(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	c := comparison{report: report}
	for hasA, hasB := a.First(), b.First(); (hasA || hasB) && c.found < maxDifferences; {
		order := bytes.Compare(a.Key(), b.Key())
		switch {
		case !hasB || hasA && order < 0:
			c.differ(a.Key(), "the journal has nothing for it")
			hasA = a.Next()
		case !hasA || order > 0:
			c.differ(b.Key(), "it is missing")
			hasB = b.Next()
		default:
			if !bytes.Equal(a.Value(), b.Value()) {
				c.differ(a.Key(), "the journal says otherwise")
			}
			hasA, hasB = a.Next(), b.Next()
		}
	}
	if err := a.Error(); err != nil {
		report(fmt.Errorf("%w: %w", ErrIndexDamaged, err))
	}
	return b.Error()
}

// maxDifferences bounds what is reported: an index is made again as a whole.
const maxDifferences = 10

type comparison struct {
	report func(error)
	found  int
}

func (c *comparison) differ(key []byte, what string) {
	c.found++
	c.report(fmt.Errorf("%w: %s: %s", ErrIndexDamaged, describe(key), what))
}
