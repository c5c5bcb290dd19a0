// Package sample holds the data that the suite is shown with: persons of Febrl,
// and purchases at CDNOW. testdata/README.md names sources and licences.
package sample

import (
	_ "embed" // the data travels within the command
)

// Persons is Febrl's dataset 1, in its CSV format.
//
//go:embed testdata/febrl-dataset1.csv
var Persons []byte

// Orders is the sample of CDNOW's purchases, in its text format.
//
//go:embed testdata/cdnow-sample.txt
var Orders []byte

// What the two files come to. Tests count them again, and so does every demo.
const (
	PersonCustomers = 500      // Febrl's originals
	Duplicates      = 500      // their duplicates, kept for matching
	OrderCustomers  = 2357     // CDNOW's buyers, none of whom is a person of Febrl
	OrderCount      = 6919     // their purchases
	SpentCents      = 24409194 // what the purchases come to
	BestSpentCents  = 655270   // what the best customer among them has spent
)

// Customers is how many customers the whole sample makes.
const Customers = PersonCustomers + OrderCustomers
