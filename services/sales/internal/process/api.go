package process

import (
	"context"
	"errors"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
	"github.com/triangle-suite/triangle/services/internal/fault"
	"github.com/triangle-suite/triangle/services/internal/projection"
)

// Processes is the API's chain-control report.
type Processes struct {
	DB *projection.DB
	// Own is the flow that the tables are filled by, and Told are those over which
	// steps are told that were taken elsewhere.
	Own  string
	Told []string
	// Freshness tells how old what flows told is.
	Freshness func(names ...string) []*flowv1.Freshness
}

// GetProcesses tells how the commercial processes go. All of it is of one state of
// the tables.
func (a *Processes) GetProcesses(ctx context.Context, req *salesv1.GetProcessesRequest) (_ *salesv1.GetProcessesResponse, err error) {
	var checks call.Checks
	name := checks.Optional("process", req.GetProcess())
	if err := checks.Err(); err != nil {
		return nil, err
	}
	wanted := All
	if name != "" {
		p, ok := Find(name)
		if !ok {
			return nil, fault.NotFound("there is no process %s", name).WithReason("PROCESS_UNKNOWN")
		}
		wanted = []Process{p}
	}
	response := &salesv1.GetProcessesResponse{Freshness: a.Freshness(append([]string{a.Own}, a.Told...)...)} // before reading: it is no older
	response.AsOf = response.GetFreshness()[0].GetAsOf()
	now, err := a.DB.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, now.Close()) }()
	for _, p := range wanted {
		process, err := report(ctx, now, p, response.GetAsOf().AsTime())
		if err != nil {
			return nil, err
		}
		response.Processes = append(response.Processes, process)
	}
	return response, nil
}
