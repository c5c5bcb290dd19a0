package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/triangle-suite/triangle/contracts/flows"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"

	"github.com/triangle-suite/triangle/services/await"
	"github.com/triangle-suite/triangle/services/control"

	"github.com/triangle-suite/triangle/tools/internal/imports"
	"github.com/triangle-suite/triangle/tools/internal/sample"
)

// importSample brings the sample in, after every flow is back at the cadence
// that the story begins with.
func (p *play) importSample(ctx context.Context) (string, error) {
	if err := p.startingCadences(ctx); err != nil {
		return "", err
	}
	persons, orders, err := ImportSample(ctx, p.Config)
	if err != nil {
		return "", err
	}
	totals, err := p.checkTotals(ctx)
	if err != nil {
		return "", err
	}
	p.knew(Sales, "%s", describeTotals(totals))
	// The story is about a suite at work, not about one that is being filled.
	if err := p.cameToRest(ctx, "customer-view"); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s records of %s persons (%s duplicates are kept for matching), %s purchases",
		count(persons.Rows), count(persons.Imported), count(persons.Kept), count(orders.Rows)), nil
}

// importAgain shows that importing a second time changes nothing.
func (p *play) importAgain(ctx context.Context) (string, error) {
	if _, _, err := ImportSample(ctx, p.Config); err != nil {
		return "", err
	}
	totals, err := p.checkTotals(ctx)
	if err != nil {
		return "", err
	}
	all, err := p.Services.Sales.GetTotals(ctx, &salesv1.GetTotalsRequest{})
	if err != nil {
		return "", err
	}
	p.knew(Sales, "%s from the import", describeTotals(totals))
	p.knew(Sales, "%s in all, %s requests, %s leads", describeTotals(all), count(all.GetRequests()), count(all.GetLeads()))
	return "the same customers, the same orders, the same sum to the cent", nil
}

// startingCadences sets flows back that a user, or an earlier run, has moved.
func (p *play) startingCadences(ctx context.Context) error {
	var states []control.State
	err := p.steer(ctx, "the flows are known", func(ctx context.Context) (err error) {
		states, err = p.Flows.List(ctx)
		return err
	})
	if err != nil {
		return err
	}
	for _, s := range states {
		if s.Requested == s.Flow.Cadence && s.Settled() {
			continue
		}
		if _, err := p.setCadence(ctx, s.Flow.Name, s.Flow.Cadence, "the scenario starts"); err != nil {
			return err
		}
		p.knew(serviceOf(s.Flow.To), "%s runs %s again, as the scenario starts", s.Flow.Name, s.Flow.Cadence)
	}
	return nil
}

func serviceOf(s flows.Service) string { return string(s) }

// checkTotals waits until CRM counts exactly what the sample holds.
func (p *play) checkTotals(ctx context.Context) (totals *salesv1.GetTotalsResponse, err error) {
	err = p.until(ctx, "sales has counted the whole sample", func(ctx context.Context) (err error) {
		totals, err = p.Services.Sales.GetTotals(ctx, &salesv1.GetTotalsRequest{Source: imports.Source})
		if err != nil {
			return err
		}
		return compareTotals(totals)
	})
	return totals, err
}

// compareTotals holds CRM's counts against the sample's. What is missing may
// still come, what is too much never goes.
func compareTotals(totals *salesv1.GetTotalsResponse) error {
	const want = "sales counts %s, the sample holds %s customers, %s orders, %s"
	seen := fmt.Sprintf(want, describeTotals(totals), count(sample.Customers), count(sample.OrderCount), money(sample.SpentCents))
	customers, orders, cents := totals.GetCustomers(), totals.GetOrders(), totals.GetSpentCents()
	switch {
	case customers == sample.Customers && orders == sample.OrderCount && cents == sample.SpentCents:
		return nil
	case customers > sample.Customers || orders > sample.OrderCount || cents > sample.SpentCents:
		return errors.New(seen)
	default:
		return await.NotYetf("%s", seen)
	}
}

func describeTotals(t *salesv1.GetTotalsResponse) string {
	return fmt.Sprintf("%s customers, %s orders, %s", count(t.GetCustomers()), count(t.GetOrders()), money(t.GetSpentCents()))
}

// ImportSample brings the sample's persons and orders into CRM.
func ImportSample(ctx context.Context, config Config) (persons, orders imports.Report, err error) {
	persons, err = importOne(ctx, config, "persons", sample.Persons, imports.PersonTasks)
	if err != nil {
		return persons, orders, err
	}
	orders, err = importOne(ctx, config, "orders", sample.Orders, imports.OrderTasks)
	if err == nil && persons.Rejected+orders.Rejected > 0 {
		err = fmt.Errorf("%d rows of the sample were rejected: see %s and %s",
			persons.Rejected+orders.Rejected, config.Layout.Rejects("persons"), config.Layout.Rejects("orders"))
	}
	return persons, orders, err
}

func importOne(
	ctx context.Context, config Config, name string, data []byte,
	tasks func(salesv1.SalesServiceClient, io.Reader) iter.Seq2[imports.Task, error],
) (imports.Report, error) {
	rows, err := imports.CountLines(bytes.NewReader(data))
	if err != nil {
		return imports.Report{}, err
	}
	files := &imports.Files{Rejects: config.Layout.Rejects(name), Duplicates: config.Layout.Duplicates(name)}
	one, end := config.Progress("import "+name, rows)
	report, err := imports.Run(ctx, tasks(config.Services.Sales, bytes.NewReader(data)), files, one)
	end()
	if err := errors.Join(err, files.Close()); err != nil {
		return report, fmt.Errorf("import the sample's %s: %w", name, err)
	}
	return report, nil
}
