package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triangle-suite/triangle/services/internal/worker"
)

func TestWorkThatFailsIsTriedAgainAndShownUntilItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		var log strings.Builder
		w := &worker.Worker{
			Name: "mowing", Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Work: func(ctx context.Context, tell worker.Tell) error {
				if attempts++; attempts <= 3 {
					return errors.New("it rains")
				}
				tell(nil)
				<-ctx.Done()
				return ctx.Err()
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		synctest.Wait()
		if err := w.Ready(ctx); err == nil || err.Error() != "mowing: it rains" {
			t.Errorf("while it rains, readiness says %v", err)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if err := w.Ready(ctx); err != nil || attempts != 4 {
			t.Errorf("after %d attempts readiness says %v", attempts, err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := strings.Count(log.String(), "it rains"); n != 1 {
			t.Errorf("the log says %d times that it rains: %s", n, log.String())
		}
	})
}
