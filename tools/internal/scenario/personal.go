package scenario

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/triangle-suite/triangle/tools/internal/imports"
	"github.com/triangle-suite/triangle/tools/internal/sample"
)

const (
	// sampleCanaries is how many streets of the sample are looked for.
	sampleCanaries = 200
	// shortestCanary keeps words out that may stand anywhere by chance.
	shortestCanary = 14
)

// canary is a piece of personal data that must not stand in clear anywhere
// outside of read models.
type canary struct {
	what string // which one it is, without saying it
	text []byte
}

// lookForPersonalData looks through every event of the store as a client reads
// it, and through the bytes of the store's folder and of the logs. Both are
// needed: the store compresses its files, and files hold more than events.
func (p *play) lookForPersonalData(ctx context.Context) (string, error) {
	list, err := p.canaries()
	if err != nil {
		return "", err
	}
	canaries, err := newFinder(list)
	if err != nil {
		return "", err
	}
	var events int
	err = p.steer(ctx, "the store has been read", func(ctx context.Context) (err error) {
		events, err = searchStore(ctx, p.Store, canaries)
		return err
	})
	if err != nil {
		return "", err
	}
	var total int64
	for _, folder := range []string{p.Layout.Store(), p.Layout.Logs()} {
		size, err := searchFolder(ctx, folder, canaries)
		if err != nil {
			return "", err
		}
		total += size
	}
	p.knew(Everyone, "%d names, streets, addresses and numbers were looked for", len(list))
	return fmt.Sprintf("%s events and %s MiB of files hold none of %d pieces of personal data", count(events), count(total>>20), len(list)), nil
}

// canaries lists the visitor's own data, what was written by visitors, and
// streets of the sample that are long enough to be unmistakable.
func (p *play) canaries() ([]canary, error) {
	claims := p.claims()
	list := []canary{
		{"the visitor's e-mail address", []byte(claims.GetEmail())},
		{"the visitor's phone number", []byte(strings.TrimPrefix(claims.GetPhone(), "+"))},
		{"the visitor's surname", []byte(claims.GetSurname())},
		{"the text of the service request", []byte(serviceText)},
		{"the text of the quote", []byte(quoteText)},
		{"the text of the complaint", []byte(complaintText)},
	}
	if !p.Sample {
		return list, nil
	}
	streets, err := streetCanaries()
	return append(list, streets...), err
}

func streetCanaries() ([]canary, error) {
	var list []canary
	for row, err := range imports.Persons(bytes.NewReader(sample.Persons)) {
		if err != nil {
			return nil, err
		}
		if street := row.Person.GetAddress().GetStreet(); len(street) >= shortestCanary && len(list) < sampleCanaries {
			list = append(list, canary{"the street of customer " + row.Number, []byte(street)})
		}
	}
	return list, nil
}

// found is the error of a canary that was found.
type found struct{ what, where string }

func (f *found) Error() string { return f.what + " stands in clear in " + f.where }

// prefix is how many bytes of a canary are looked up at every place; no canary is
// shorter.
const prefix = 8

// finder looks for all canaries in one pass.
type finder struct {
	byPrefix map[uint64][]canary
	maybe    [1 << 16]bool // by hash of the prefix: most places are passed by here
	longest  int
}

func newFinder(canaries []canary) (*finder, error) {
	f := &finder{byPrefix: map[uint64][]canary{}}
	for _, c := range canaries {
		if len(c.text) < prefix {
			return nil, fmt.Errorf("%s is too short to look for", c.what)
		}
		first := binary.LittleEndian.Uint64(c.text)
		f.byPrefix[first] = append(f.byPrefix[first], c)
		f.maybe[hash(first)] = true
		f.longest = max(f.longest, len(c.text))
	}
	return f, nil
}

func hash(first uint64) uint16 { return uint16((first * 0x9E3779B97F4A7C15) >> 48) }

// search returns the first canary that stands in the data as an error.
func (f *finder) search(data []byte, where string) error {
	for i := 0; i+prefix <= len(data); i++ {
		first := binary.LittleEndian.Uint64(data[i:])
		if !f.maybe[hash(first)] {
			continue
		}
		for _, c := range f.byPrefix[first] {
			if bytes.HasPrefix(data[i:], c.text) {
				return &found{what: c.what, where: where}
			}
		}
	}
	return nil
}

// searchStore reads every event of the store.
func searchStore(ctx context.Context, connection string, canaries *finder) (events int, err error) {
	config, err := esdb.ParseConnectionString(connection)
	if err != nil {
		return 0, err
	}
	config.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(config)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	stream, err := client.ReadAll(ctx, esdb.ReadAllOptions{From: esdb.Start{}}, math.MaxInt64)
	if err != nil {
		return 0, err
	}
	defer stream.Close()
	for {
		resolved, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		e := resolved.OriginalEvent()
		events++
		where := fmt.Sprintf("event %d@%s", e.EventNumber, e.EventType)
		for _, part := range [][]byte{[]byte(e.StreamID), e.Data, e.UserMetadata} {
			if err := canaries.search(part, where); err != nil {
				return events, err
			}
		}
	}
}

// searchFolder reads every file of a folder and returns their size.
func searchFolder(ctx context.Context, folder string, canaries *finder) (total int64, err error) {
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // the store tidies up
			return nil
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		size, err := searchFile(path, canaries)
		total += size
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return total, err
}

// searchFile reads a file piece by piece; each begins with the end of the one
// before, so that nothing hides at a border.
func searchFile(path string, canaries *finder) (size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // it was only read
	piece := make([]byte, canaries.longest+1<<20)
	kept := 0
	for {
		n, err := f.Read(piece[kept:])
		size += int64(n)
		if err := canaries.search(piece[:kept+n], path); err != nil {
			return size, err
		}
		kept = copy(piece, piece[max(0, kept+n-canaries.longest):kept+n])
		if errors.Is(err, io.EOF) {
			return size, nil
		}
		if err != nil {
			return size, err
		}
	}
}
