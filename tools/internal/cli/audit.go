package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"

	"github.com/triangle-suite/triangle/services/control"
)

// auditTimeout is longer than other waits: a flow's whole past is read.
const auditTimeout = 2 * time.Minute

type flowAudit struct {
	Name  string    `arg:"" help:"The flow's name."`
	Epoch *uint64   `placeholder:"N" help:"The epoch to audit (the present one, as far as it has come)."`
	From  *logPlace `placeholder:"POSITION" help:"Instead of an epoch: the first place in the log (its start)."`
	To    *logPlace `placeholder:"POSITION" help:"Instead of an epoch: the last place in the log (as far as the flow has come)."`
	By    string    `placeholder:"WHO" help:"Who asks (you)."`
}

// logPlace is a position in the log, written 1234 or C:1234/P:1234.
type logPlace struct{ control.Position }

// UnmarshalText reads a position.
func (p *logPlace) UnmarshalText(text []byte) error {
	commit, prepare, both := strings.Cut(string(text), "/")
	if !both {
		prepare = commit
	}
	var err, err2 error
	p.Commit, err = strconv.ParseUint(strings.TrimPrefix(commit, "C:"), 10, 64)
	p.Prepare, err2 = strconv.ParseUint(strings.TrimPrefix(strings.TrimPrefix(prepare, "P:"), "C:"), 10, 64)
	if errors.Join(err, err2) != nil {
		return fmt.Errorf("%q is no position: write 1234, or C:1234/P:1234 as the store does", text)
	}
	return nil
}

var errEpochZero = errors.New("epochs count from 1; triangle flow show tells the present one")

// of is what to audit.
func (c *flowAudit) of() (of control.AuditOf, err error) {
	if c.Epoch != nil {
		if of.Epoch = *c.Epoch; of.Epoch == 0 {
			return of, errEpochZero
		}
	}
	if c.From != nil {
		of.From = &c.From.Position
	}
	if c.To != nil {
		of.To = &c.To.Position
	}
	return of, nil
}

// Run implements triangle flow audit.
func (c *flowAudit) Run(s *session) error {
	of, err := c.of()
	if err != nil {
		return err
	}
	return s.commands.Flow.with(s, auditTimeout, func(ctx context.Context, steered *control.Flows) error {
		audit, err := steered.Audit(ctx, c.Name, of, whoAsks(c.By))
		if err != nil {
			return c.explain(ctx, err)
		}
		return errors.Join(s.printAudit(audit), unbalanced(audit))
	})
}

func (c *flowAudit) explain(ctx context.Context, err error) error {
	if flow, ok := flows.Find(c.Name); ok {
		return late(ctx, err, flow, "has not answered")
	}
	return err
}

// unbalanced is the error of an audit that does not close.
func unbalanced(a *control.Audit) error {
	if a.Closes() {
		return nil
	}
	return &notDone{fmt.Sprintf("the audit of %s does not close: %s", a.Flow.Name, strings.Join(a.Objections, "; "))}
}
