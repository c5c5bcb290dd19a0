package imports

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"

	"github.com/triangle-suite/triangle/tools/internal/sample"
)

const header = "rec_id, given_name, surname, street_number, address_1, address_2, suburb, postcode, state, date_of_birth, soc_sec_id\n"

func TestPersons(t *testing.T) {
	full := "rec-223-org, ada, waller, 6, tullaroop street, willaroo, st james, 4011, wa, 19081209, 6988048"
	tests := map[string]struct {
		row         string
		want        PersonRow
		wantProblem string
	}{
		"an original becomes a customer": {full, PersonRow{Number: "febrl-223", Person: &journeyv1.Person{
			GivenName: "ada", Surname: "waller", DateOfBirth: "1908-12-09", SocialSecurityId: "6988048",
			Address: &journeyv1.Address{StreetNumber: "6", Street: "tullaroop street", Extra: "willaroo", Suburb: "st james", Postcode: "4011", State: "wa"},
		}}, ""},
		"what is not known stays empty":  {"rec-7-org, , , , , , , , , , ", PersonRow{Number: "febrl-7", Person: &journeyv1.Person{Address: &journeyv1.Address{}}}, ""},
		"quotes are understood":          {`rec-7-org, "a, b", , , , , , , , , `, PersonRow{Number: "febrl-7", Person: &journeyv1.Person{GivenName: "a, b", Address: &journeyv1.Address{}}}, ""},
		"a duplicate is kept":            {"rec-223-dup-0, ada, waler, 6, tullaroop street, , , , , 19081299, 6988048", PersonRow{Number: "febrl-223", Duplicate: true}, ""},
		"a day that there is not":        {strings.Replace(full, "19081209", "19081309", 1), PersonRow{}, "date_of_birth is not a day"},
		"too few columns":                {"rec-223-org, ada", PersonRow{}, "has 2 columns, not 11"},
		"an id of another kind":          {strings.Replace(full, "rec-223-org", "223", 1), PersonRow{}, "rec_id is neither"},
		"a quote that does not end":      {`rec-7-org, "a, , , , , , , , , `, PersonRow{}, "is not CSV"},
		"bytes that are no text":         {strings.Replace(full, "ada", "\xff", 1), PersonRow{}, "is not UTF-8 text"},
		"a number that goes on for ever": {strings.Replace(full, "223", strings.Repeat("9", 200), 1), PersonRow{}, "rec_id is neither"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			// The row after it must be read, whatever the row is.
			rows := collect(t, Persons(strings.NewReader(header+tc.row+"\r\n\n"+full+"\n")))
			if len(rows) != 2 || rows[1].Number != "febrl-223" || rows[1].Line != 4 {
				t.Fatalf("got %d rows, the last of them %+v", len(rows), rows[len(rows)-1])
			}
			got := rows[0]
			if tc.wantProblem != "" {
				if got.Problem == nil || !strings.Contains(got.Problem.Error(), tc.wantProblem) {
					t.Errorf("the problem is %v, want %q", got.Problem, tc.wantProblem)
				}
				return
			}
			tc.want.Line, tc.want.Text = 2, tc.row
			if diff := cmp.Diff(tc.want, got, protocmp.Transform()); diff != "" || got.Problem != nil {
				t.Errorf("problem %v; want, got:\n%s", got.Problem, diff)
			}
		})
	}
}

func TestAFileThatHoldsNoPersonsIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "orders": string(sample.Orders), "no header": "rec-223-org, ada, waller, 6, t, w, s, 4011, wa, 19081209, 6988048\n",
	} {
		t.Run(name, func(t *testing.T) {
			for _, err := range Persons(strings.NewReader(text)) {
				if !errors.Is(err, ErrNotPersons) {
					t.Errorf("got %v, want %v", err, ErrNotPersons)
				}
			}
		})
	}
}

func TestTheWholeSampleOfPersonsCanBeUsed(t *testing.T) {
	customers, duplicates := map[string]bool{}, 0
	for _, row := range collect(t, Persons(bytes.NewReader(sample.Persons))) {
		switch {
		case row.Problem != nil:
			t.Errorf("line %d: %v", row.Line, row.Problem)
		case row.Duplicate:
			duplicates++
		default:
			customers[row.Number] = true
		}
	}
	if len(customers) != sample.PersonCustomers || duplicates != sample.Duplicates {
		t.Errorf("%d customers and %d duplicates, want %d and %d", len(customers), duplicates, sample.PersonCustomers, sample.Duplicates)
	}
}

func collect[Row any](t *testing.T, rows func(func(Row, error) bool)) []Row {
	t.Helper()
	var all []Row
	for row, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, row)
	}
	return all
}

func FuzzPersons(f *testing.F) {
	f.Add(header + "rec-223-org, ada, waller, 6, t, w, s, 4011, wa, 19081209, 6988048\n")
	f.Add("\ufeff" + header + "rec-1-dup-0, \"\n")
	f.Fuzz(func(t *testing.T, text string) {
		for row, err := range Persons(strings.NewReader(text)) {
			if err == nil && row.Problem == nil && !row.Duplicate && (row.Number == "" || row.Person == nil) {
				t.Errorf("%q is read as %+v", text, row)
			}
		}
	})
}
