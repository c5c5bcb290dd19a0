package v1alpha1

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"
)

// Duration is a length of time, such as 90s, 26h, 1h30m, 3d or 1d12h: whole
// numbers of days, hours, minutes and seconds, each unit once and the largest first.
// A day is 24 hours. It is text, so that a wrong one, which another schema may have
// let through, never keeps a whole list from being read.
//
// +kubebuilder:validation:Type=string
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:Pattern=`^([0-9]{1,5}d)?([0-9]{1,7}h)?([0-9]{1,8}m)?([0-9]{1,9}s)?$`
type Duration string

// ErrDuration says that a text is no Duration.
var ErrDuration = errors.New("not a duration: write days, hours, minutes and seconds such as 3d, 26h, 1h30m or 90s")

var durationParts = regexp.MustCompile(`^(?:([0-9]{1,5})d)?(?:([0-9]{1,7})h)?(?:([0-9]{1,8})m)?(?:([0-9]{1,9})s)?$`)

// UnmarshalJSON implements json.Unmarshaler. What is no text, and so no duration
// either, is kept as it is written: it never keeps a list from being read.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		text = string(data)
	}
	*d = Duration(text)
	return nil
}

// Parse returns the duration. It fails with ErrDuration.
func (d Duration) Parse() (time.Duration, error) {
	parts := durationParts.FindStringSubmatch(string(d))
	if d == "" || parts == nil {
		return 0, fmt.Errorf("%q is %w", string(d), ErrDuration)
	}
	var sum time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		if parts[i+1] == "" {
			continue
		}
		n, err := strconv.ParseInt(parts[i+1], 10, 64)
		if err != nil || n > int64((math.MaxInt64-sum)/unit) {
			return 0, fmt.Errorf("%q is too long: %w", string(d), ErrDuration)
		}
		sum += time.Duration(n) * unit
	}
	return sum, nil
}
