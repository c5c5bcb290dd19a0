package esdb_test

import (
	"testing"

	"github.com/triangle-suite/triangle/services/eventstore/eventstoretest"
	"github.com/triangle-suite/triangle/services/internal/eventlog"
	"github.com/triangle-suite/triangle/services/internal/eventlog/esdb"
	"github.com/triangle-suite/triangle/services/internal/eventlog/logtest"
)

func open(t testing.TB, connectionString string, options ...esdb.Option) *esdb.Log {
	t.Helper()
	log, err := esdb.Open(connectionString, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return log
}

func TestConformance(t *testing.T) {
	for name, options := range map[string][]eventstoretest.Option{
		"with the store's id cache":    nil,
		"without the store's id cache": {eventstoretest.WithoutIDCache()},
	} {
		t.Run(name, func(t *testing.T) {
			store := eventstoretest.Start(t, options...)
			logtest.Run(t, func(t testing.TB) eventlog.Log { return open(t, store.ConnectionString()) })
		})
	}
}
