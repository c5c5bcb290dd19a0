package bench_test

import (
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/triangle-suite/triangle/operator/apitest"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	os.Exit(run(m))
}

func run(m *testing.M) int {
	defer func() {
		if err := os.RemoveAll(the.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	return apitest.Run(m)
}
