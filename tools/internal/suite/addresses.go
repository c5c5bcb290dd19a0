package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/triangle-suite/triangle/tools/internal/supervise"
)

// Listening is where a service listens.
type Listening struct {
	HTTP string `json:"http"`
	GRPC string `json:"grpc"`
}

// Addresses is where everything listens.
type Addresses struct {
	EventStore string    `json:"eventstore"`
	Channel    Listening `json:"channel"`
	Sales      Listening `json:"sales"`
	Marketing  Listening `json:"marketing"`
	BackOffice string    `json:"backoffice"`
}

// DefaultAddresses are the ports that the suite's documents name.
func DefaultAddresses() Addresses {
	return Addresses{
		EventStore: "127.0.0.1:2113",
		Channel:    Listening{HTTP: "127.0.0.1:8081", GRPC: "127.0.0.1:9081"},
		Sales:      Listening{HTTP: "127.0.0.1:8082", GRPC: "127.0.0.1:9082"},
		Marketing:  Listening{HTTP: "127.0.0.1:8083", GRPC: "127.0.0.1:9083"},
		BackOffice: "127.0.0.1:8090",
	}
}

// FreeAddresses are ports that nobody listens on.
func FreeAddresses(ctx context.Context) (Addresses, error) {
	free, err := supervise.FreeAddrs(ctx, 8)
	if err != nil {
		return Addresses{}, err
	}
	return Addresses{
		EventStore: free[0],
		Channel:    Listening{HTTP: free[1], GRPC: free[2]},
		Sales:      Listening{HTTP: free[3], GRPC: free[4]},
		Marketing:  Listening{HTTP: free[5], GRPC: free[6]},
		BackOffice: free[7],
	}, nil
}

// ConnectionString is what the event store's clients take.
func (a Addresses) ConnectionString() string { return "esdb://" + a.EventStore + "?tls=false" }

// Running returns where the suite of the data folder listens; the default
// addresses when the folder does not tell.
func (l Layout) Running() (Addresses, error) {
	text, err := os.ReadFile(l.addresses())
	if errors.Is(err, fs.ErrNotExist) {
		return DefaultAddresses(), nil
	}
	var a Addresses
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err != nil {
		return a, fmt.Errorf("read %s: %w", l.addresses(), err)
	}
	return a, nil
}

// writeJSON replaces a file as a whole, so that a reader never finds half of it.
func writeJSON(path string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	next := path + ".next"
	if err := os.WriteFile(next, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}
