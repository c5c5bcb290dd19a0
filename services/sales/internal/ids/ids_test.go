package ids_test

import (
	"testing"

	"github.com/triangle-suite/triangle/services/sales/internal/ids"
)

// The ids stand in events that are read for ever: they may never come out
// otherwise.
func TestIDsStayWhatTheyAre(t *testing.T) {
	for want, got := range map[string]string{
		"c0bfe19c-f799-5f60-856e-6c3d2f0fa1d4": ids.Message("l1"),
		"9c8daac1-2760-5931-98d8-1befa9de74f6": ids.Customer("identity-number:abc"),
		"63976986-4f8f-54ad-8679-5f91e78de556": ids.Order("N1", "1"),
	} {
		if got != want {
			t.Errorf("the id is %s, was %s", got, want)
		}
	}
}
