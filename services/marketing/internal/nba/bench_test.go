package nba

import (
	"fmt"
	"testing"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
)

// BenchmarkDecision is all that a decision costs short of its append: a visitor
// waits for it.
func BenchmarkDecision(b *testing.B) {
	for _, propositions := range []int{10, 100, 500} {
		b.Run(fmt.Sprint(propositions, " propositions"), func(b *testing.B) {
			w := newTables(b)
			for i := range propositions {
				w.take(&marketingv1.PropositionDefined{
					PropositionId: fmt.Sprint("p", i), Name: "name", Topic: fmt.Sprint("t", i%10), ValueCents: int64(i), Lever: 1, BasePropensity: 0.1,
					Contents: []*marketingv1.Content{{Channel: journeyv1.Channel_CHANNEL_EMAIL, Text: "content"}},
				})
			}
			w.take(&channelv1.ContactStarted{ContactId: "c1", CustomerId: "anna", Channel: journeyv1.Channel_CHANNEL_EMAIL})
			for i := range 20 {
				w.take(&channelv1.InterestShown{ContactId: "c1", CustomerId: "anna", Topic: fmt.Sprint("t", i)})
			}
			for b.Loop() {
				g, err := gather(b.Context(), w.db, "c1", "anna", w.now)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := Decide(Command{Channel: g.channel, Features: g.features, Wording: g.wording}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
