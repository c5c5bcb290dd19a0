// Package machine tells what a reader of measurements must know about the
// machine that they were made on, and hides what differs between systems.
package machine

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Time is how long all processors together were idle, and counted at all, in
// units of the system's own. It is zero where the system does not tell.
type Time struct{ idle, total float64 }

// Now is the time since the machine's start.
func Now() Time {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil { // not Linux
		return Time{}
	}
	return parse(string(stat))
}

// parse reads the first line of /proc/stat:
//
//	cpu user nice system idle iowait irq softirq steal guest guest_nice
//
// Guests are counted in user and nice already. A processor that waits for the
// disk could do something else: it is idle.
func parse(stat string) Time {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return Time{}
	}
	var t Time
	for i, field := range fields[1:9] {
		value, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return Time{}
		}
		t.total += value
		if i == 3 || i == 4 {
			t.idle += value
		}
	}
	return t
}

// Since is the time between before and t.
func (t Time) Since(before Time) Time {
	return Time{idle: t.idle - before.idle, total: t.total - before.total}
}

// Add is the time of both.
func (t Time) Add(other Time) Time {
	return Time{idle: t.idle + other.idle, total: t.total + other.total}
}

// IdleShare is the idle share of the time, 0 when nothing was counted.
func (t Time) IdleShare() float64 {
	if t.total <= 0 {
		return 0
	}
	return math.Max(0, t.idle/t.total)
}

// Description is what a table's heading says of the machine.
type Description struct {
	Go         string  `json:"go"`
	System     string  `json:"system"`
	CPUs       int     `json:"cpus"`
	Dir        string  `json:"dir"`
	FileSystem string  `json:"file_system"`
	IdleBefore float64 `json:"idle_before"` // what others left of it, before anything was started
}

// Describe describes the machine, and the file system that folder dir is on.
// It watches the machine for a moment, to see how busy others keep it.
func Describe(ctx context.Context, dir string, watch time.Duration) (Description, error) {
	fileSystem, err := FileSystem(dir)
	if err != nil {
		return Description{}, err
	}
	before := Now()
	watching, cancel := context.WithTimeout(ctx, watch)
	defer cancel()
	<-watching.Done()
	if err := ctx.Err(); err != nil {
		return Description{}, err
	}
	return Description{
		Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(),
		Dir: dir, FileSystem: fileSystem, IdleBefore: Now().Since(before).IdleShare(),
	}, nil
}

// CheckDurable refuses a folder whose file system keeps nothing: a sync costs
// nothing there, so that no ratio would say anything.
func CheckDurable(dir string) error {
	fileSystem, err := FileSystem(dir)
	if err != nil {
		return err
	}
	if fileSystem == InMemory {
		return fmt.Errorf("%s is on %s, where a sync costs nothing: name a folder on a disk with --dir", dir, fileSystem)
	}
	return nil
}

// InMemory is the name of a file system that is none of a disk.
const InMemory = "tmpfs"
