package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
)

// count writes a number with commas between its thousands.
func count[N int | uint32 | int64 | uint64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// money writes hundredths as an amount.
func money(cents int64) string {
	sign := ""
	if cents < 0 {
		sign, cents = "-", -cents
	}
	return fmt.Sprintf("%s%s.%02d", sign, count(cents/100), cents%100)
}

// plain writes an enum's value without its type: in progress.
func plain[E interface {
	String() string
	Descriptor() protoreflect.EnumDescriptor
}](e E) string {
	name, zero := e.String(), string(e.Descriptor().Values().Get(0).Name())
	name = strings.TrimPrefix(name, strings.TrimSuffix(zero, "UNSPECIFIED"))
	return strings.ToLower(strings.ReplaceAll(name, "_", " "))
}

// short is enough of an id to recognise it by.
func short(id string) string { return id[:min(8, len(id))] }

// named lists next best actions by name, best first.
func named(actions []*journeyv1.NextBestAction) string {
	names := make([]string, 0, len(actions))
	for _, a := range actions {
		names = append(names, fmt.Sprintf("%s (%.1f)", a.GetName(), a.GetPriority()))
	}
	return strings.Join(names, ", ")
}

// origin tells where a list comes from, and why.
func origin(a *channelv1.Actions) string {
	switch a.GetSource() {
	case channelv1.ListSource_LIST_SOURCE_DECIDED:
		return "decided for this very call"
	case channelv1.ListSource_LIST_SOURCE_LAST_KNOWN:
		return "the last one known, as " + a.GetReason()
	default:
		return "no list yet, as " + a.GetReason()
	}
}

// freshnessOf finds a flow's entry.
func freshnessOf(flow string, all []*flowv1.Freshness) (*flowv1.Freshness, bool) {
	for _, f := range all {
		if f.GetFlow() == flow {
			return f, true
		}
	}
	return nil, false
}

// age tells how old a flow's data is.
func age(f *flowv1.Freshness) string {
	staleness := f.GetStaleness().AsDuration()
	if staleness <= 0 {
		return fmt.Sprintf("%s runs %s and is caught up", f.GetFlow(), f.GetCadence())
	}
	return fmt.Sprintf("%s runs %s and is %s behind", f.GetFlow(), f.GetCadence(), staleness.Round(time.Millisecond))
}
