// Package charts makes what the charts hold of other sources, so that nothing in them
// is written twice:
//
//	operator/config            → triangle-operator/files/        as they are
//	values.yaml, its comments  → values.schema.json, README.md   see Values
//	the kinds' schemas         → values.schema.json              where a value is like one of theirs
//	the catalogue of flows     → values.schema.json              the flows that there are
//
// Its tests play the charts on a real Kubernetes API, with the helm programs that
// TRIANGLE_HELM names; make test-charts sets it.
package charts
