package nba

import (
	"context"
	"fmt"
	"strings"
	"time"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	"github.com/triangle-suite/triangle/services/internal/projection"
	"github.com/triangle-suite/triangle/services/marketing/internal/arbitration"
	"github.com/triangle-suite/triangle/services/marketing/internal/complaint"
)

// Approachable is the gates as a condition of SQL, on a customer c: that they let an
// outbound proposition pass, at a time. It says of all customers what Model.failed
// says of one, save what only a contact can tell: whether there is content for its
// channel, and what was rejected in it.
func Approachable(
	ctx context.Context, q projection.Querier, p *marketingv1.PropositionDefined, channel journeyv1.Channel, at time.Time,
) (where string, args []any, err error) {
	conditions := []string{
		`coalesce((SELECT a.answer ` + answersTo + ` ORDER BY a.ordinal DESC LIMIT 1), 0) <> ?`,
		`(SELECT count(*) FROM nba_presentation p JOIN nba_contact m ON m.contact_id = p.contact_id
			WHERE m.customer_id = c.customer_id AND p.proposition_id = ?
				AND p.ordinal > coalesce((SELECT max(a.ordinal) ` + answersTo + `), 0)) < ?`,
	}
	id := p.GetPropositionId()
	args = []any{id, int32(journeyv1.Answer_ANSWER_ACCEPTED), id, id, current.MostUnanswered}
	if p.GetPurpose() == marketingv1.Purpose_PURPOSE_SALES {
		conditions = append(conditions, `NOT EXISTS (SELECT 1 FROM complaint_request r
			WHERE r.customer_id = c.customer_id AND `+complaint.IsOpen+`)`)
		args = append(args, complaint.IsOpenArgs()...)
		now, err := arbitration.Now(ctx, q)
		if err != nil {
			return "", nil, fmt.Errorf("look how often a customer may be approached: %w", err)
		}
		for _, l := range now.GetLimits() {
			if l.GetChannel() == channel {
				conditions = append(conditions, `coalesce((SELECT sum(v.times) FROM nba_approach v
					WHERE v.channel = ? AND v.hour > ? AND v.hour <= ? AND (v.customer_id = c.customer_id OR
						v.contact_id IN (SELECT contact_id FROM nba_contact n WHERE n.customer_id = c.customer_id))), 0) < ?`)
				args = append(args, int32(channel), hourOf(at)-int64(l.GetHours()), hourOf(at), l.GetMost())
			}
		}
	}
	return strings.Join(conditions, " AND "), args, nil
}

// answersTo are the answers of a customer c to a proposition, and to leads that
// offered it.
const answersTo = `FROM nba_answered a JOIN nba_contact n ON n.contact_id = a.contact_id
	LEFT JOIN own_lead l ON l.lead_id = a.lead_id
	WHERE n.customer_id = c.customer_id AND coalesce(l.proposition_id, a.proposition_id) = ?`
