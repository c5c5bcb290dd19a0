package imports

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// OrderRow is one row of a file of orders.
type OrderRow struct {
	Line           int
	Text           string // the row as it stands in the file
	CustomerNumber string
	OrderNumber    string // unique for the customer
	OrderedOn      string // YYYY-MM-DD
	Quantity       uint32
	AmountCents    int64
	Problem        error // why the row can't be used, nil when it can
}

// Orders reads the format of CDNOW's sample: five columns with spaces between
// them (number in the whole set, number in the sample, day, how many, dollars).
// A row that can't be used is yielded with its problem; an error ends the
// sequence.
//
// The format has no order numbers. An order's number is made of its day and of
// its place among the customer's orders of that day, which stays the same as
// long as rows are only added behind: equal rows are orders of their own.
func Orders(r io.Reader) iter.Seq2[OrderRow, error] {
	return func(yield func(OrderRow, error) bool) {
		ofDay := map[string]int{} // how many orders, by customer and day
		for l, err := range lines(r) {
			if err != nil {
				yield(OrderRow{}, err)
				return
			}
			row := OrderRow{Line: l.number, Text: l.text}
			if row.Problem = row.read(l); row.Problem == nil {
				day := row.CustomerNumber + " " + row.OrderedOn
				ofDay[day]++
				row.OrderNumber = fmt.Sprintf("%s-%d", row.OrderedOn, ofDay[day])
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}

var sampleID = regexp.MustCompile(`^\d{1,18}$`)

func (row *OrderRow) read(l line) error {
	if err := l.check(); err != nil {
		return err
	}
	fields := strings.Fields(l.text)
	if len(fields) != 5 {
		return fmt.Errorf("has %d columns, not 5", len(fields))
	}
	if !sampleID.MatchString(fields[0]) || !sampleID.MatchString(fields[1]) {
		return errors.New("the customer's number is not made of digits")
	}
	row.CustomerNumber = "cdnow-" + fields[1]
	day, err := time.Parse("20060102", fields[2])
	if err != nil {
		return errors.New("the third column is not a day, YYYYMMDD")
	}
	row.OrderedOn = day.Format(time.DateOnly)
	quantity, err := strconv.ParseUint(fields[3], 10, 32)
	if err != nil || quantity == 0 {
		return errors.New("the fourth column is not a whole number from 1 on")
	}
	row.Quantity = uint32(quantity)
	row.AmountCents, err = ParseCents(fields[4])
	return err
}

var amount = regexp.MustCompile(`^(\d+)(?:\.(\d{1,2}))?$`)

// ErrAmount says that a text is not an amount.
var ErrAmount = errors.New("the amount is not a number such as 29.33, of at most two decimals and not below 0")

// ParseCents reads a decimal amount into hundredths, digit by digit: binary
// fractions can't hold most of them.
func ParseCents(text string) (int64, error) {
	parts := amount.FindStringSubmatch(text)
	if parts == nil {
		return 0, ErrAmount
	}
	whole, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || whole > math.MaxInt64/100-1 {
		return 0, ErrAmount
	}
	cents, err := strconv.ParseInt((parts[2] + "00")[:2], 10, 64)
	if err != nil {
		return 0, ErrAmount
	}
	return whole*100 + cents, nil
}
