package segment

import (
	"os"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.RunOnEach(m)) }
