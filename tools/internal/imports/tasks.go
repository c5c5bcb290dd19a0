package imports

import (
	"context"
	"io"
	"iter"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"

	"github.com/triangle-suite/triangle/services/client"
)

// Source is what CRM records as the source of imported customers and orders.
const Source = "import"

// PersonTasks turns a file of persons into calls of CRM.
func PersonTasks(sales salesv1.SalesServiceClient, r io.Reader) iter.Seq2[Task, error] {
	return tasks(Persons(r), func(row PersonRow) Task {
		return Task{
			Line: row.Line, Text: row.Text, Lane: row.Number, Kept: row.Duplicate, Problem: row.Problem,
			Send: func(ctx context.Context) error {
				_, err := sales.RegisterCustomer(client.WithKey(ctx, row.key()), &salesv1.RegisterCustomerRequest{
					CustomerNumber: row.Number, Person: row.Person, Source: Source,
				})
				return err
			},
		}
	})
}

// OrderTasks turns a file of orders into calls of CRM.
func OrderTasks(sales salesv1.SalesServiceClient, r io.Reader) iter.Seq2[Task, error] {
	return tasks(Orders(r), func(row OrderRow) Task {
		return Task{
			Line: row.Line, Text: row.Text, Lane: row.CustomerNumber, Problem: row.Problem,
			Send: func(ctx context.Context) error {
				_, err := sales.PlaceOrder(client.WithKey(ctx, row.key()), &salesv1.PlaceOrderRequest{
					CustomerNumber: row.CustomerNumber, OrderNumber: row.OrderNumber, OrderedOn: row.OrderedOn,
					Quantity: row.Quantity, AmountCents: row.AmountCents, Source: Source,
				})
				return err
			},
		}
	})
}

func (row PersonRow) key() string { return "import/persons/" + row.Number }

func (row OrderRow) key() string {
	return "import/orders/" + row.CustomerNumber + "/" + row.OrderNumber
}

func tasks[Row any](rows iter.Seq2[Row, error], toTask func(Row) Task) iter.Seq2[Task, error] {
	return func(yield func(Task, error) bool) {
		for row, err := range rows {
			if err != nil {
				yield(Task{}, err)
				return
			}
			if !yield(toTask(row), nil) {
				return
			}
		}
	}
}
