package experiment

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/internal/call"
)

const (
	mostVariants   = 10
	mostWeight     = 10_000
	defaultError   = 0.05
	mostError      = 0.5
	defaultPlanned = 10_000
	fewestPlanned  = 100
	mostPlanned    = 1_000_000_000
)

// checked looks an experiment over, and returns it with what was not given filled
// in.
func checked(checks *call.Checks, given *channelv1.Experiment) *channelv1.Experiment {
	e := &channelv1.Experiment{}
	if given != nil {
		e = proto.CloneOf(given)
	}
	if e.GetErrorRate() == 0 {
		e.ErrorRate = defaultError
	}
	if e.GetPlannedVisitors() == 0 {
		e.PlannedVisitors = defaultPlanned
	}
	checks.Slug("experiment.experiment_id", e.GetExperimentId())
	checkVariants(checks, e.GetVariants())
	checkOutcome(checks, e.GetOutcome())
	checkChannels(checks, e.GetChannels())
	checks.That(e.GetErrorRate() > 0 && e.GetErrorRate() <= mostError, "experiment.error_rate", "must be above 0 and at most %v", mostError)
	checks.That(e.GetExpectedRate() > 0 && e.GetExpectedRate() < 1, "experiment.expected_rate",
		"must be above 0 and below 1: the share of the visitors with whom the outcome comes about now, as far as you know")
	checks.That(e.GetPlannedVisitors() >= fewestPlanned && e.GetPlannedVisitors() <= mostPlanned,
		"experiment.planned_visitors", "must be from %d to %d", fewestPlanned, mostPlanned)
	return e
}

func checkVariants(checks *call.Checks, variants []*channelv1.Variant) {
	checks.That(len(variants) >= 2 && len(variants) <= mostVariants, "experiment.variants", "must be 2 to %d", mostVariants)
	seen := map[string]bool{}
	for i, v := range variants {
		field := fmt.Sprintf("experiment.variants[%d]", i)
		checks.Slug(field+".variant_id", v.GetVariantId())
		checks.That(!seen[v.GetVariantId()], field+".variant_id", "must not come twice")
		seen[v.GetVariantId()] = true
		checks.That(v.GetWeight() >= 1 && v.GetWeight() <= mostWeight, field+".weight", "must be from 1 to %d", mostWeight)
	}
}

// checkOutcome refuses what an outcome of its kind does not look at, so that
// nobody thinks that it does.
func checkOutcome(checks *call.Checks, o *channelv1.Outcome) {
	const field = "experiment.outcome"
	call.Known(checks, field+".kind", o.GetKind(), channelv1.OutcomeKind_name)
	const event, accepted, request = channelv1.OutcomeKind_OUTCOME_KIND_EVENT_RECORDED,
		channelv1.OutcomeKind_OUTCOME_KIND_PROPOSITION_ACCEPTED, channelv1.OutcomeKind_OUTCOME_KIND_REQUEST_SUBMITTED
	if o.GetKind() == event {
		checks.Slug(field+".event_kind", o.GetEventKind())
	} else {
		checks.That(o.GetEventKind() == "", field+".event_kind", "goes with OUTCOME_KIND_EVENT_RECORDED only")
	}
	if o.GetPropositionId() != "" {
		checks.Slug(field+".proposition_id", o.GetPropositionId())
		checks.That(o.GetKind() == accepted, field+".proposition_id", "goes with OUTCOME_KIND_PROPOSITION_ACCEPTED only")
	}
	if o.GetRequestKind() != 0 {
		call.Known(checks, field+".request_kind", o.GetRequestKind(), journeyv1.RequestKind_name)
		checks.That(o.GetKind() == request, field+".request_kind", "goes with OUTCOME_KIND_REQUEST_SUBMITTED only")
	}
}

func checkChannels(checks *call.Checks, channels []journeyv1.Channel) {
	seen := map[journeyv1.Channel]bool{}
	for i, c := range channels {
		field := fmt.Sprintf("experiment.channels[%d]", i)
		call.Known(checks, field, c, journeyv1.Channel_name)
		checks.That(!seen[c], field, "must not come twice")
		seen[c] = true
	}
}
