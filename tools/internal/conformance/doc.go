// Package conformance runs the test suite of EventStoreDB's own Go client
// against our event store.
//
// The suite is the one of the client's module, as it is downloaded. Elsewhere
// it starts containers of EventStoreDB; one of its files knows how. In a scratch
// copy of the module that file is replaced by one of ours
// (testdata/containers_test.go), which asks this program for databases:
//
//	tests of the scratch copy ── POST, DELETE /databases ──▶ host ──▶ event-store processes
//
// The suite's populated database is an image that is not part of the module.
// dataset.go makes one of which everything holds that the
// suite knows of it.
package conformance
