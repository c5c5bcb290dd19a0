package imports

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
)

// personColumns is the first line of Febrl's files.
var personColumns = []string{
	"rec_id", "given_name", "surname", "street_number", "address_1", "address_2",
	"suburb", "postcode", "state", "date_of_birth", "soc_sec_id",
}

// PersonRow is one row of a file of persons.
type PersonRow struct {
	Line      int
	Text      string // the row as it stands in the file
	Number    string // the customer number
	Person    *journeyv1.Person
	Duplicate bool  // another record of a person: kept for matching
	Problem   error // why the row can't be used, nil when it can
}

// ErrNotPersons says that a file is not in Febrl's format at all.
var ErrNotPersons = errors.New("not a file of persons: its first line must be " + strings.Join(personColumns, ", "))

// Persons reads Febrl's CSV format, one record a line. A row that can't be used
// is yielded with its problem; an error ends the sequence.
func Persons(r io.Reader) iter.Seq2[PersonRow, error] {
	return func(yield func(PersonRow, error) bool) {
		header := true
		for l, err := range lines(r) {
			if err == nil && header {
				err = checkHeader(l)
				header = false
				if err == nil {
					continue
				}
			}
			if err != nil {
				yield(PersonRow{}, err)
				return
			}
			if !yield(readPerson(l), nil) {
				return
			}
		}
		if header {
			yield(PersonRow{}, ErrNotPersons)
		}
	}
}

func checkHeader(l line) error {
	fields, err := splitCSV(l.text)
	if err != nil || !slices.Equal(fields, personColumns) {
		return ErrNotPersons
	}
	return nil
}

// splitCSV reads one record. Reading line by line keeps one bad row from
// swallowing the rows after it.
func splitCSV(text string) ([]string, error) {
	reader := csv.NewReader(strings.NewReader(text))
	reader.TrimLeadingSpace = true
	reader.FieldsPerRecord = -1
	fields, err := reader.Read()
	if err != nil {
		var malformed *csv.ParseError
		if errors.As(err, &malformed) {
			err = malformed.Err // its own line number is always 1
		}
		return nil, fmt.Errorf("is not CSV: %w", err)
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return fields, nil
}

var recordID = regexp.MustCompile(`^rec-(\d{1,18})-(org|dup-\d{1,9})$`)

func readPerson(l line) PersonRow {
	row := PersonRow{Line: l.number, Text: l.text}
	row.Problem = row.read(l)
	return row
}

func (row *PersonRow) read(l line) error {
	if err := l.check(); err != nil {
		return err
	}
	fields, err := splitCSV(l.text)
	if err != nil {
		return err
	}
	if len(fields) != len(personColumns) {
		return fmt.Errorf("has %d columns, not %d", len(fields), len(personColumns))
	}
	id := recordID.FindStringSubmatch(fields[0])
	if id == nil {
		return errors.New("rec_id is neither rec-<number>-org nor rec-<number>-dup-<number>")
	}
	row.Number, row.Duplicate = "febrl-"+id[1], id[2] != "org"
	if row.Duplicate {
		return nil // errors in it are what makes it worth keeping
	}
	row.Person, err = toPerson(fields)
	return err
}

func toPerson(fields []string) (*journeyv1.Person, error) {
	born, err := readBirth(fields[9])
	if err != nil {
		return nil, err
	}
	return &journeyv1.Person{
		GivenName:        fields[1],
		Surname:          fields[2],
		DateOfBirth:      born,
		SocialSecurityId: fields[10],
		Address: &journeyv1.Address{
			StreetNumber: fields[3],
			Street:       fields[4],
			Extra:        fields[5],
			Suburb:       fields[6],
			Postcode:     fields[7],
			State:        fields[8],
		},
	}, nil
}

func readBirth(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	born, err := time.Parse("20060102", text)
	if err != nil {
		return "", errors.New("date_of_birth is not a day, YYYYMMDD")
	}
	return born.Format(time.DateOnly), nil
}
