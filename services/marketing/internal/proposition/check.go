package proposition

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
)

// Bounds of what a proposition may weigh. They keep every priority a number that
// can be compared, and a typing error from outweighing the whole catalogue.
const (
	mostValueCents = 1_000_000_000_000
	mostLever      = 1000
)

// defined makes the event of a proposition that is to be defined, or refuses it
// with all that is wrong with it.
func defined(p *marketingv1.Proposition) (*marketingv1.PropositionDefined, error) {
	var c call.Checks
	if p == nil {
		c.Fail("proposition", "is missing")
		return nil, c.Err()
	}
	d := normalise(p)
	c.Slug("proposition.proposition_id", d.GetPropositionId())
	c.Required("proposition.name", d.GetName())
	c.That(known(d.GetPurpose()), "proposition.purpose", "must be PURPOSE_SALES or PURPOSE_SERVICE")
	c.Required("proposition.topic", d.GetTopic())
	c.That(d.GetValueCents() >= 0 && d.GetValueCents() <= mostValueCents,
		"proposition.value_cents", "must be from 0 to %d", int64(mostValueCents))
	c.That(d.GetLever() > 0 && d.GetLever() <= mostLever,
		"proposition.lever", "must be above 0 and at most %d; 1 leaves the priority as it is", mostLever)
	c.That(d.GetBasePropensity() >= 0 && d.GetBasePropensity() <= 1, "proposition.base_propensity", "must be from 0 to 1")
	checkContents(&c, d.GetContents())
	return d, c.Err()
}

func known(p marketingv1.Purpose) bool {
	return p == marketingv1.Purpose_PURPOSE_SALES || p == marketingv1.Purpose_PURPOSE_SERVICE
}

func checkContents(c *call.Checks, contents []*marketingv1.Content) {
	c.That(len(contents) > 0, "proposition.contents", "must have content for at least one channel")
	seen := map[journeyv1.Channel]bool{}
	for i, content := range contents {
		field := fmt.Sprintf("proposition.contents[%d]", i)
		channel := content.GetChannel()
		_, named := journeyv1.Channel_name[int32(channel)]
		switch {
		case !named || channel == journeyv1.Channel_CHANNEL_UNSPECIFIED:
			c.Fail(field+".channel", "must be a channel")
		case seen[channel]:
			c.Fail(field+".channel", "must not come twice")
		}
		seen[channel] = true
		c.Text(field+".text", content.GetText())
	}
}

// normalise copies a proposition into the one spelling in which it is compared
// and kept.
func normalise(p *marketingv1.Proposition) *marketingv1.PropositionDefined {
	d := &marketingv1.PropositionDefined{
		PropositionId:  p.GetPropositionId(),
		Name:           strings.TrimSpace(p.GetName()),
		Purpose:        p.GetPurpose(),
		Topic:          strings.TrimSpace(p.GetTopic()),
		ValueCents:     p.GetValueCents(),
		Lever:          p.GetLever(),
		BasePropensity: p.GetBasePropensity(),
	}
	if d.GetLever() == 0 {
		d.Lever = 1
	}
	for _, content := range p.GetContents() {
		d.Contents = append(d.Contents, proto.CloneOf(content))
	}
	return d
}
