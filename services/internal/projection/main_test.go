package projection_test

import (
	"os"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// onEach runs a test on each kind of database.
func onEach(t *testing.T, test func(t *testing.T, where string)) {
	t.Helper()
	for name, database := range pgtest.Databases() {
		t.Run(name, func(t *testing.T) { test(t, database(t)) })
	}
}
