package marketing

import (
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/marketing/internal/nba"
)

// VerifyDecision makes a decision again from what its event recorded, and fails
// unless it comes to the same, bit for bit. It is for who audits decisions from
// outside.
func VerifyDecision(e *marketingv1.NextBestActionsDecided) error { return nba.Verify(e) }
