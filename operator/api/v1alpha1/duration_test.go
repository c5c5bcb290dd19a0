package v1alpha1

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	for text, want := range map[Duration]time.Duration{
		"90s": 90 * time.Second, "26h": 26 * time.Hour, "1h30m": 90 * time.Minute, "3d": 72 * time.Hour, "1d12h": 36 * time.Hour,
		"0s": 0, "1d2h3m4s": 26*time.Hour + 3*time.Minute + 4*time.Second, "99999d": 99999 * 24 * time.Hour, "007m": 7 * time.Minute,
	} {
		if got, err := text.Parse(); err != nil || got != want {
			t.Errorf("%s is %s (%v), want %s", text, got, err, want)
		}
	}
}

func TestWhatIsNoDuration(t *testing.T) {
	for _, text := range []Duration{
		"", "3", "d", "-3d", "+3d", "3D", "1.5h", "3d ", " 3d", "3 d", "30m1h", "1h1h", "3w", "3ms", "1h30", "1e3s", "P3D", "100000d", "99999d9999999h", "٣d",
	} {
		if got, err := text.Parse(); !errors.Is(err, ErrDuration) || !strings.Contains(err.Error(), "1h30m") {
			t.Errorf("%q is %s (%v), want an error that says what to write", string(text), got, err)
		}
	}
}

// The server lets through what can be read, and nothing else. An empty one it knows
// by its length.
func TestTheServerAndTheParserAgreeOnDurations(t *testing.T) {
	crd, err := os.ReadFile("../../config/crd/triangle.dev_informationflows.yaml")
	if err != nil {
		t.Fatal(err)
	}
	admitted := strings.NewReplacer("(?:", "(").Replace(durationParts.String())
	for i := range 4 { // the groups that are read are inside those that are optional
		unit := string("dhms"[i])
		admitted = strings.Replace(admitted, "(("+digits(unit)+")"+unit+")?", "("+digits(unit)+unit+")?", 1)
	}
	if !strings.Contains(string(crd), "pattern: "+admitted) {
		t.Errorf("no field of the CRD has the pattern %s", admitted)
	}
}

func digits(unit string) string {
	return map[string]string{"d": "[0-9]{1,5}", "h": "[0-9]{1,7}", "m": "[0-9]{1,8}", "s": "[0-9]{1,9}"}[unit]
}
