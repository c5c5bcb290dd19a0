package host

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/triangle-suite/triangle/services/internal/config"
	"github.com/triangle-suite/triangle/services/internal/keyring"
)

// CopyKeys copies the key ring of a service's settings to where they say, and tells
// out how many keys there were.
func CopyKeys(ctx context.Context, settings Settings, out io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	common := config.CommonOf(settings)
	how := keyring.Copy
	if common.Replace {
		how = keyring.Replace
	}
	copied, err := how(ctx, string(common.Keys), string(*common.To))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d keys copied, those of erased persons as tombstones\n", copied)
	return err
}
