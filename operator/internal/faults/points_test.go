package faults_test

import (
	"fmt"
	"time"
)

// point is where in a migration something goes wrong: when this has been said, by
// whomever. That of an epoch is the one that names it.
type point struct {
	kind  string
	epoch string
}

func (p point) String() string {
	if p.epoch == "" {
		return p.kind
	}
	return p.kind + " of epoch " + p.epoch
}

// points are every word that is said between the plan and the last step, in about
// their order.
var points = []point{
	{kind: "MigrationPlanned"},
	{"CadenceRequested", "2"},
	{"CadenceAdopted", "2"},
	{"EpochClosed", "1"},
	{kind: "ShadowRequested"},
	{kind: "ShadowStarted"},
	{kind: "MarkerSet"},
	{kind: "ShadowCompared"},
	{kind: "ShadowEnded"},
	{"CadenceRequested", "3"},
	{"CadenceAdopted", "3"},
	{"EpochClosed", "2"},
	{"WindowOpened", "3"},
	{"WindowClosed", "3"},
	{"AuditRequested", "3"},
	{kind: "AuditCompleted"},
	{kind: "ParityJudged"},
	{kind: "GateJudged"},
	{kind: "ApprovalAwaited"},
	{kind: "ApprovalCounted"},
	{"CadenceRequested", "4"},
	{"CadenceAdopted", "4"},
	{"EpochClosed", "3"},
}

// reach waits until a point is reached, and returns at once.
func (w *world) reach(p point) {
	w.Helper()
	late := time.After(3 * time.Minute)
	for next := 0; ; {
		words, more := w.journal.look()
		for ; next < len(words); next++ {
			if one := words[next]; one.kind == p.kind && (p.epoch == "" || fmt.Sprint(one.says["epoch"]) == p.epoch) {
				return
			}
		}
		select {
		case <-more:
		case <-late:
			w.tellAll()
			w.Fatalf("%s was never said", p)
		}
	}
}
