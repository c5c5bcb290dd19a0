package job_test

import (
	"context"
	"testing"

	"github.com/triangle-suite/triangle/services/internal/job"
)

func TestAJobIsKnownToWhatIsCalledForIt(t *testing.T) {
	if got := job.Of(t.Context()); got != "" {
		t.Errorf("a context that was named for nothing is of job %q", got)
	}
	told := make(chan string)
	go func() {
		ctx, cancel := context.WithCancel(job.Named(t.Context(), "flow contacts"))
		defer cancel()
		told <- job.Of(ctx)
		told <- job.Of(job.Named(ctx, "outbox"))
	}()
	for _, want := range []string{"flow contacts", "outbox"} {
		if got := <-told; got != want {
			t.Errorf("the context is of job %q, want %q", got, want)
		}
	}
}
