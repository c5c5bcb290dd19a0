package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"

	"github.com/triangle-suite/triangle/services/client"
	"github.com/triangle-suite/triangle/tools/internal/imports"
)

type importCommands struct {
	Persons importPersons `cmd:"" help:"Import persons from a CSV file in Febrl's format. Duplicates are kept for matching."`
	Orders  importOrders  `cmd:"" help:"Import orders from a text file in the format of CDNOW's sample."`
}

// input says what is imported.
type input struct {
	File    string `arg:"" type:"existingfile" help:"The file."`
	Rejects string `placeholder:"FILE" help:"Where rows go that can't be used, with line and reason (FILE.rejects.csv beside the input)."`
	Sales   string `placeholder:"HOST:PORT" help:"Where sales support serves gRPC (where the suite of --data does, else 127.0.0.1:9082)."`
}

type importPersons struct{ input }

type importOrders struct{ input }

// Run implements triangle import persons.
func (c *importPersons) Run(s *session) error {
	return c.run(s, s.layout().Duplicates(filepath.Base(c.File)), imports.PersonTasks)
}

// Run implements triangle import orders.
func (c *importOrders) Run(s *session) error { return c.run(s, "", imports.OrderTasks) }

func (c *input) run(s *session, duplicates string, tasks func(salesv1.SalesServiceClient, io.Reader) iter.Seq2[imports.Task, error]) (err error) {
	file, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	rows, err := imports.CountLines(file)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	sales, closeSales, err := c.connect(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeSales()) }()
	if c.Rejects == "" {
		c.Rejects = c.File + ".rejects.csv"
	}

	ctx, cancel := s.within(0)
	defer cancel()
	files := &imports.Files{Rejects: c.Rejects, Duplicates: duplicates}
	one, end := s.progress("import "+filepath.Base(c.File), rows)
	report, err := imports.Run(ctx, tasks(sales, file), files, one)
	end()
	if err := errors.Join(err, files.Close()); err != nil {
		return fmt.Errorf("import %s: %w; what went in stays, and running the import again adds nothing twice", c.File, err)
	}
	return s.report(report, c.Rejects, duplicates)
}

func (c *input) connect(s *session) (salesv1.SalesServiceClient, func() error, error) {
	if c.Sales == "" {
		running, err := s.layout().Running()
		if err != nil {
			return nil, nil, err
		}
		c.Sales = running.Sales.GRPC
	}
	connection, err := client.Connect(c.Sales)
	if err != nil {
		return nil, nil, err
	}
	return salesv1.NewSalesServiceClient(connection), connection.Close, nil
}

// report tells what became of a file.
func (s *session) report(report imports.Report, rejects, duplicates string) error {
	if s.commands.JSON {
		return printJSON(s.Out, struct {
			OK bool `json:"ok"`
			imports.Report
			Rejects    string `json:"rejects_file,omitempty"`
			Duplicates string `json:"duplicates_file,omitempty"`
		}{true, report, when(report.Rejected > 0, rejects), when(report.Kept > 0, duplicates)})
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "%d rows: %d imported", report.Rows, report.Imported)
	if report.Kept > 0 {
		fmt.Fprintf(&text, ", %d kept for matching in %s", report.Kept, duplicates)
	}
	if report.Rejected > 0 {
		fmt.Fprintf(&text, ", %d rejected: see %s", report.Rejected, rejects)
	}
	_, err := fmt.Fprintln(s.Out, text.String())
	return err
}

func when(holds bool, text string) string {
	if holds {
		return text
	}
	return ""
}
