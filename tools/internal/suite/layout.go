// Package suite runs the whole of Triangle on one machine: the store, the three
// services and a small back office, as children of one command, with everything
// that they keep in one folder.
//
//	DIR/store/            the event store
//	DIR/channel.db …      the services' databases
//	DIR/keys.db           the key ring (both only without a PostgreSQL database)
//	DIR/outbox/           the e-mails that the channel sends, where there is no mail server
//	DIR/letters/          the letters that the channel has printed
//	DIR/logs/             a log per process
//	DIR/imports/          what the imports kept and rejected
//	DIR/addresses.json    where everything listens, as long as it does
//	DIR/processes.json    the process ids
package suite

import (
	"path/filepath"
	"strconv"
)

// Layout tells where things are in a data folder.
type Layout struct{ dir string }

// In returns the layout of a data folder.
func In(dir string) Layout { return Layout{dir: dir} }

// Dir is the data folder itself.
func (l Layout) Dir() string { return l.dir }

// Store is the event store's folder.
func (l Layout) Store() string { return l.path("store") }

// Logs is the folder of the processes' logs.
func (l Layout) Logs() string { return l.path("logs") }

// Log is the log of one process.
func (l Layout) Log(name string) string { return filepath.Join(l.Logs(), name+".log") }

// Database is the database of one service.
func (l Layout) Database(service string) string { return l.path(service + ".db") }

// Keys is the key ring.
func (l Layout) Keys() string { return l.path("keys.db") }

// Journal is the back office's journal.
func (l Layout) Journal() string { return l.path("backoffice.journal") }

// Outbox is the folder of the e-mails that are sent, where there is no mail server.
func (l Layout) Outbox() string { return l.path("outbox") }

// Letters is the folder of the letters that are to be printed.
func (l Layout) Letters() string { return l.path("letters") }

// Runs holds the number of the scenario's last run.
func (l Layout) Runs() string { return l.path("runs") }

// Rejects is where an import of the sample puts the rows that do not go in.
func (l Layout) Rejects(name string) string {
	return filepath.Join(l.path("imports"), name+".rejects.csv")
}

// Duplicates is where an import puts the rows that are kept for matching.
func (l Layout) Duplicates(name string) string {
	return filepath.Join(l.path("imports"), name+".duplicates.csv")
}

func (l Layout) addresses() string { return l.path("addresses.json") }
func (l Layout) processes() string { return l.path("processes.json") }
func (l Layout) lock() string      { return l.path("lock") }

func (l Layout) path(name string) string { return filepath.Join(l.dir, name) }

func pidText(pid int) []byte { return []byte(strconv.Itoa(pid) + "\n") }
