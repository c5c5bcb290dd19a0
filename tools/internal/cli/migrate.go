package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triangle-suite/triangle/operator/api/v1alpha1"

	"github.com/triangle-suite/triangle/tools/internal/migrate"
)

type migrateCommands struct {
	Namespace string `short:"n" placeholder:"NAMESPACE" help:"The namespace of the flows (that of the kubeconfig's context)."`
	Context   string `placeholder:"NAME" help:"The context of the kubeconfig (its current one)."`

	Plan    migratePlan    `cmd:"" help:"Tell what an InformationFlow would do, and when at the earliest, without a cluster; fails when the operator would refuse it."`
	Status  migrateStatus  `cmd:"" help:"Show how far the migrations of all flows are, or all about one."`
	Approve migrateApprove `cmd:"" help:"Give your word that the step that waits for it may begin."`
	Pause   migratePause   `cmd:"" help:"Hold a migration where it is; the flow goes on running."`
	Resume  migrateResume  `cmd:"" help:"Let a migration go on that has been paused."`
	Abort   migrateAbort   `cmd:"" help:"Have a flow go back to the step before, and stay there."`
	Retry   migrateRetry   `cmd:"" help:"Try again after a rollback, an abort, or a hold."`
}

type migrateStatus struct {
	Flow          string `arg:"" optional:"" help:"The InformationFlow's name; all of them without it."`
	AllNamespaces bool   `short:"A" help:"Show those of all namespaces."`
}

// check tells what can't be meant.
func (c *migrateStatus) check(namespace string) error {
	switch {
	case c.AllNamespaces && c.Flow != "":
		return errors.New("--all-namespaces shows all flows: name the namespace of the one that you mean with --namespace")
	case c.AllNamespaces && namespace != "":
		return errors.New("write either --all-namespaces or --namespace")
	}
	return nil
}

type migrateApprove struct {
	Flow   string `arg:"" help:"The InformationFlow's name."`
	Step   string `placeholder:"STEP" help:"The step that you mean: refused when it is not the one that waits."`
	Reason string `placeholder:"TEXT" help:"Why; it stays with the approval."`
}

// migrated names the flow that is steered.
type migrated struct {
	Flow string `arg:"" help:"The InformationFlow's name."`
}

type (
	migratePause  struct{ migrated }
	migrateResume struct{ migrated }
	migrateAbort  struct{ migrated }
	migrateRetry  struct{ migrated }
)

// with connects to the cluster.
func (c *migrateCommands) with(s *session, do func(context.Context, *migrate.Cluster) error) error {
	cluster, err := migrate.Connect(c.Context, c.Namespace)
	if err != nil {
		return err
	}
	ctx, cancel := s.within(clusterTimeout)
	defer cancel()
	return do(ctx, cluster)
}

// clusterTimeout is for a cluster that is far away.
const clusterTimeout = 15 * time.Second

// Run implements triangle migrate status.
func (c *migrateStatus) Run(s *session) error {
	if err := c.check(s.commands.Migrate.Namespace); err != nil {
		return err
	}
	return s.commands.Migrate.with(s, func(ctx context.Context, cluster *migrate.Cluster) error {
		if c.Flow != "" {
			flow, err := cluster.Flow(ctx, c.Flow)
			if err != nil {
				return err
			}
			return s.printMigration(migrate.ProgressOf(flow))
		}
		if c.AllNamespaces {
			all, err := cluster.AllFlows(ctx)
			if err != nil {
				return err
			}
			return s.printMigrations("", all)
		}
		all, err := cluster.Flows(ctx)
		if err != nil {
			return err
		}
		return s.printMigrations(cluster.Namespace, all)
	})
}

// Run implements triangle migrate approve.
func (c *migrateApprove) Run(s *session) error {
	return s.commands.Migrate.with(s, func(ctx context.Context, cluster *migrate.Cluster) error {
		given, err := cluster.Approve(ctx, c.Flow, c.Step, c.Reason)
		if err != nil {
			return err
		}
		if s.commands.JSON {
			return printJSON(s.Out, map[string]string{
				"approval": given.Name, "flow": given.Spec.Flow, "step": given.Spec.Step, "plan": given.Spec.PlanHash,
				"approved_by": given.Spec.ApprovedBy, "reason": given.Spec.Reason,
			})
		}
		_, err = fmt.Fprintf(s.Out, "%s of %s is approved by %s, for plan %s (%s)\n",
			given.Spec.Step, given.Spec.Flow, given.Spec.ApprovedBy, given.Spec.PlanHash, given.Name)
		return err
	})
}

// Run implements triangle migrate pause.
func (c *migratePause) Run(s *session) error {
	return s.steer(c.Flow, migrate.Pause, "pause", func(p migrate.Progress) string {
		return fmt.Sprintf("%s is held where it is, and goes on running; triangle migrate resume %[1]s lets it go on", p.Flow.Name)
	})
}

// Run implements triangle migrate resume.
func (c *migrateResume) Run(s *session) error {
	return s.steer(c.Flow, migrate.Resume, "resume", func(p migrate.Progress) string {
		if p.Flow.Spec.State == v1alpha1.FlowPaused {
			return p.Flow.Name + " is no longer held by anybody, but by its spec still: set spec.state to Active where the spec is kept"
		}
		return p.Flow.Name + " goes on"
	})
}

// Run implements triangle migrate abort.
func (c *migrateAbort) Run(s *session) error {
	return s.steer(c.Flow, migrate.Abort, "abort", func(p migrate.Progress) string {
		return fmt.Sprintf("%s is asked to go back, and to stay there; triangle migrate retry %[1]s tries again", p.Flow.Name)
	})
}

// Run implements triangle migrate retry.
func (c *migrateRetry) Run(s *session) error {
	return s.steer(c.Flow, migrate.Retry, "retry", func(p migrate.Progress) string {
		return p.Flow.Name + " is asked to try again"
	})
}

// steer asks something of a migration, and tells what comes of it.
func (s *session) steer(flow string, request migrate.Request, what string, line func(migrate.Progress) string) error {
	return s.commands.Migrate.with(s, func(ctx context.Context, cluster *migrate.Cluster) error {
		asked, err := cluster.Ask(ctx, request, flow, time.Now())
		if err != nil {
			return err
		}
		p := migrate.ProgressOf(asked)
		if s.commands.JSON {
			return printJSON(s.Out, struct {
				Asked string `json:"asked"`
				migration
			}{what, toMigration(p)})
		}
		_, err = fmt.Fprintln(s.Out, line(p))
		return err
	})
}
