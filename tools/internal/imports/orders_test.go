package imports

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/triangle-suite/triangle/tools/internal/sample"
)

func TestOrders(t *testing.T) {
	tests := map[string]struct {
		row         string
		want        OrderRow
		wantProblem string
	}{
		"a purchase becomes an order": {" 00004 0001 19970118  2   29.73", OrderRow{CustomerNumber: "cdnow-0001", OrderNumber: "1997-01-18-1", OrderedOn: "1997-01-18", Quantity: 2, AmountCents: 2973}, ""},
		"one that cost nothing":       {"00004 0001 19970118 1 0.00", OrderRow{CustomerNumber: "cdnow-0001", OrderNumber: "1997-01-18-1", OrderedOn: "1997-01-18", Quantity: 1}, ""},
		"a day that there is not":     {"00004 0001 19970230 2 29.73", OrderRow{}, "not a day"},
		"a negative amount":           {"00004 0001 19970118 2 -29.73", OrderRow{}, "the amount is not a number"},
		"half a disc":                 {"00004 0001 19970118 0.5 29.73", OrderRow{}, "whole number"},
		"no disc at all":              {"00004 0001 19970118 0 29.73", OrderRow{}, "whole number"},
		"a customer of letters":       {"00004 ada 19970118 2 29.73", OrderRow{}, "not made of digits"},
		"four columns":                {"00004 0001 19970118 2", OrderRow{}, "has 4 columns, not 5"},
		"bytes that are no text":      {"\xff 0001 19970118 2 29.73", OrderRow{}, "is not UTF-8 text"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := collect(t, Orders(strings.NewReader(tc.row+"\r\n")))[0]
			if tc.wantProblem != "" {
				if got.Problem == nil || !strings.Contains(got.Problem.Error(), tc.wantProblem) {
					t.Errorf("the problem is %v, want %q", got.Problem, tc.wantProblem)
				}
				return
			}
			tc.want.Line, tc.want.Text = 1, tc.row
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("want, got:\n%s", diff)
			}
		})
	}
}

func TestEachPurchaseHasAnOrderNumberOfItsOwn(t *testing.T) {
	const rows = `1 0001 19970101 1 10.00
2 0002 19970101 1 10.00
1 0001 19970101 1 10.00
1 0001 bad-day! 1 10.00
1 0001 19970102 1 10.00
1 0001 19970101 2 20.00
`
	var got []string
	for _, row := range collect(t, Orders(strings.NewReader(rows))) {
		if row.Problem == nil {
			got = append(got, row.key())
		}
	}
	want := []string{
		"import/orders/cdnow-0001/1997-01-01-1",
		"import/orders/cdnow-0002/1997-01-01-1",
		"import/orders/cdnow-0001/1997-01-01-2",
		"import/orders/cdnow-0001/1997-01-02-1",
		"import/orders/cdnow-0001/1997-01-01-3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want, got:\n%s", diff)
	}
}

func TestTheWholeSampleOfOrdersCanBeUsed(t *testing.T) {
	spent, keys, total := map[string]int64{}, map[string]bool{}, int64(0)
	for _, row := range collect(t, Orders(bytes.NewReader(sample.Orders))) {
		if row.Problem != nil {
			t.Errorf("line %d: %v", row.Line, row.Problem)
		}
		spent[row.CustomerNumber] += row.AmountCents
		keys[row.key()] = true
		total += row.AmountCents
	}
	if len(spent) != sample.OrderCustomers || len(keys) != sample.OrderCount || total != sample.SpentCents {
		t.Errorf("%d customers, %d orders, %d cents; want %d, %d, %d",
			len(spent), len(keys), total, sample.OrderCustomers, sample.OrderCount, int64(sample.SpentCents))
	}
	best := int64(0)
	for _, cents := range spent {
		best = max(best, cents)
	}
	if best != sample.BestSpentCents {
		t.Errorf("the best customer has spent %d, not %d", best, int64(sample.BestSpentCents))
	}
}

func TestParseCents(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "0.07": 7, "29.33": 2933, "1.1": 110, "1.10": 110, "4.35": 435, "92233720368547757.99": 9223372036854775799,
		"": -1, ".5": -1, "1.": -1, "1.234": -1, "-1": -1, "+1": -1, "1e3": -1, "1,00": -1, "92233720368547758.07": -1, "99999999999999999999": -1,
	} {
		got, err := ParseCents(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("ParseCents(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
}

func FuzzOrders(f *testing.F) {
	f.Add(" 00004 0001 19970118  2   29.73\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		for row, err := range Orders(strings.NewReader(text)) {
			if err == nil && row.Problem == nil && (row.CustomerNumber == "" || row.OrderNumber == "" || row.AmountCents < 0) {
				t.Errorf("%q is read as %+v", text, row)
			}
		}
	})
}
