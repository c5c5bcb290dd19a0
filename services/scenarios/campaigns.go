package scenarios

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	marketingv1 "github.com/triangle-suite/triangle/contracts/marketing/v1"
	salesv1 "github.com/triangle-suite/triangle/contracts/sales/v1"

	"github.com/triangle-suite/triangle/services/await"
)

var campaignCommands = []command{
	{form: "campaign CAMPAIGN offers PROPOSITION through CHANNEL", do: (*play).defineCampaign},
	{form: "campaign CAMPAIGN runs", do: (*play).runCampaign},
	{form: "campaign CAMPAIGN is stopped", do: (*play).stopCampaign},
	{form: "runs of campaign CAMPAIGN", do: (*play).showRuns, again: true},
	{form: "CHANNEL grants COUNT", do: (*play).grantNow},
	{form: "CHANNEL grants COUNT for the next hour", do: (*play).grantNext},
	{form: "CHANNEL reports COUNT waiting", do: (*play).reportWorkload},
	{form: "outbound plan of CHANNEL", do: (*play).plan},
	{form: "outbound work of CHANNEL", do: (*play).showOutbound, again: true},
	{form: "lead of NAME", do: (*play).showLead, again: true},
	{form: "messages to NAME", do: (*play).showMessages, again: true},
	{form: "visitor NAME answers the lead with ANSWER", do: (*play).respond},
	{form: "visitor NAME answers the lead of WHOM with ANSWER", do: (*play).respond},
	{form: "visitor NAME answers a lead that nobody sent", do: (*play).respondToNothing},
}

func (p *play) defineCampaign(ctx context.Context, w words) (string, error) {
	channel, err := value[journeyv1.Channel](w.said["CHANNEL"])
	if err != nil {
		return "", err
	}
	c := &marketingv1.Campaign{
		CampaignId: p.names.own(w.said["CAMPAIGN"]), Name: w.said["CAMPAIGN"], PropositionId: p.names.own(w.said["PROPOSITION"]), Channel: channel,
	}
	if c.MinOrders, err = w.number("min-orders"); err != nil {
		return "", err
	}
	if c.MaxLeads, err = w.number("most"); err != nil {
		return "", err
	}
	if c.Priority, err = w.number("priority"); err != nil {
		return "", err
	}
	if c.MinSpentCents, err = cents(w.Get("min-spent")); err != nil {
		return "", err
	}
	_, err = p.Services.Marketing.DefineCampaign(p.keyed(ctx), &marketingv1.DefineCampaignRequest{Campaign: c})
	return "it is a campaign", err
}

// runCampaign has a campaign issue its leads, one a customer: a lead is told by the
// customer's name.
func (p *play) runCampaign(ctx context.Context, w words) (string, error) {
	run, err := p.Services.Marketing.RunCampaign(p.keyed(ctx), &marketingv1.RunCampaignRequest{CampaignId: p.names.own(w.said["CAMPAIGN"])})
	if err != nil {
		return "", err
	}
	for _, lead := range run.GetLeadIds() {
		p.leads[fmt.Sprintf("lead %d", len(p.leads)+1)] = lead
	}
	return several(len(run.GetLeadIds()), "lead") + " issued", nil
}

func (p *play) stopCampaign(ctx context.Context, w words) (string, error) {
	_, err := p.Services.Marketing.StopCampaign(p.keyed(ctx), &marketingv1.StopCampaignRequest{CampaignId: p.names.own(w.said["CAMPAIGN"])})
	return "it issues nothing more", err
}

// showRuns shows what came of each run of a campaign, the first one first.
func (p *play) showRuns(ctx context.Context, w words) (string, error) {
	list, err := p.Services.Marketing.ListRuns(ctx, &marketingv1.ListRunsRequest{CampaignId: p.names.own(w.said["CAMPAIGN"])})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, r := range slices.Backward(list.GetRuns()) {
		fmt.Fprintf(&b, "%s issued, of which %d withdrawn\n", several(int(r.GetLeads()), "lead"), r.GetWithdrawn())
	}
	if b.Len() == 0 {
		return "none", nil
	}
	return b.String(), nil
}

// grantNow has a channel take on so much outbound work within the present hour.
func (p *play) grantNow(ctx context.Context, w words) (string, error) {
	return "granted for this hour", p.grant(ctx, w, time.Now().UTC().Truncate(time.Hour))
}

// grantNext does so within the hour after the one in which the play began.
func (p *play) grantNext(ctx context.Context, w words) (string, error) {
	return "granted for the next hour", p.grant(ctx, w, p.hour.Add(time.Hour))
}

func (p *play) grant(ctx context.Context, w words, from time.Time) error {
	channel, count, err := channelAndCount(w)
	if err != nil {
		return err
	}
	_, err = p.Services.Channel.GrantCapacity(p.keyed(ctx), &channelv1.GrantCapacityRequest{
		Channel: channel, StartsAt: timestamppb.New(from), Capacity: count,
	})
	return err
}

func (p *play) reportWorkload(ctx context.Context, w words) (string, error) {
	channel, count, err := channelAndCount(w)
	if err != nil {
		return "", err
	}
	_, err = p.Services.Channel.ReportWorkload(p.keyed(ctx), &channelv1.ReportWorkloadRequest{Channel: channel, Waiting: count})
	return "reported", err
}

func channelAndCount(w words) (channel journeyv1.Channel, count uint32, err error) {
	if channel, err = value[journeyv1.Channel](w.said["CHANNEL"]); err != nil {
		return channel, 0, err
	}
	if _, err := fmt.Sscan(w.said["COUNT"], &count); err != nil {
		return channel, 0, fmt.Errorf("%q is no number: %w", w.said["COUNT"], err)
	}
	return channel, count, nil
}

// plan says how much of a grant there is: mailings an hour, or agents and the time
// that a call takes.
func (p *play) plan(ctx context.Context, w words) (string, error) {
	channel, err := value[journeyv1.Channel](w.said["CHANNEL"])
	if err != nil {
		return "", err
	}
	request := &salesv1.PlanOutboundRequest{Channel: channel}
	perHour, err := w.number("per-hour")
	if err != nil {
		return "", err
	}
	if perHour > 0 {
		request.Mailing = &salesv1.Mailing{PerHour: perHour}
	}
	agents, err := w.number("agents")
	if err != nil {
		return "", err
	}
	if agents > 0 {
		handling, err := time.ParseDuration(w.Get("handling-time"))
		if err != nil {
			return "", err
		}
		request.Calls = &salesv1.Calls{Agents: agents, HandlingTime: durationpb.New(handling)}
	}
	_, err = p.Services.Sales.PlanOutbound(p.keyed(ctx), request)
	return "planned", err
}

func (p *play) showOutbound(ctx context.Context, w words) (string, error) {
	channel, err := value[journeyv1.Channel](w.said["CHANNEL"])
	if err != nil {
		return "", err
	}
	work, err := p.Services.Sales.GetOutbound(ctx, &salesv1.GetOutboundRequest{Channel: channel})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, g := range work.GetGrants() {
		fmt.Fprintf(&b, "granted %d, of which %d fit and %d are spent\n", g.GetGranted(), g.GetFits(), g.GetSpent())
	}
	if len(work.GetGrants()) == 0 {
		b.WriteString("nothing is granted\n")
	}
	fmt.Fprintf(&b, "%s waiting\n", several(int(work.GetWaiting()), "lead"))
	return b.String(), nil
}

// leadOf finds the lead that was issued to a customer, among those of the text.
func (p *play) leadOf(ctx context.Context, name string) (*salesv1.Lead, error) {
	customer := p.person(name).customer
	for _, id := range p.leads {
		found, err := p.Services.Sales.GetLead(ctx, &salesv1.GetLeadRequest{LeadId: id})
		if err != nil {
			return nil, err
		}
		if found.GetLead().GetCustomerId() == customer {
			p.leads[name] = id
			p.names.call(id, "the lead of "+name)
			return found.GetLead(), nil
		}
	}
	return nil, await.NotYetf("lead management has no lead for %s", name)
}

func (p *play) showLead(ctx context.Context, w words) (string, error) {
	lead, err := p.leadOf(ctx, w.said["NAME"])
	if err != nil {
		return "", err
	}
	shown := fmt.Sprintf("%s, through %s", word(lead.GetStatus()), word(lead.GetChannel()))
	if lead.GetDetail() != "" {
		shown += ": " + lead.GetDetail()
	}
	for _, t := range lead.GetTransactions() {
		shown += fmt.Sprintf("\n%s, %s", t.GetOrderId()+t.GetRequestId(), money(t.GetAmountCents()))
	}
	return shown, nil
}

// showMessages shows what a channel has for a customer, the call centre's work list
// among it.
func (p *play) showMessages(ctx context.Context, w words) (string, error) {
	who, err := p.customer(w)
	if err != nil {
		return "", err
	}
	list, err := p.Services.Channel.ListMessages(ctx, &channelv1.ListMessagesRequest{})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, m := range list.GetMessages() {
		if m.GetCustomerId() != who.customer {
			continue
		}
		p.leads[who.name] = m.GetLeadId()
		fmt.Fprintf(&b, "%s, %s", word(m.GetChannel()), word(m.GetState()))
		if m.GetAddress() != "" {
			fmt.Fprintf(&b, " to %s", m.GetAddress())
		}
		if m.GetDetail() != "" {
			fmt.Fprintf(&b, " (%s)", m.GetDetail())
		}
		fmt.Fprintf(&b, ": %s\n", m.GetContent())
	}
	if b.Len() == 0 {
		return "none", nil
	}
	return b.String(), nil
}

// respond answers a lead, one's own or somebody else's, whatever channel sent it.
func (p *play) respond(ctx context.Context, w words) (string, error) {
	whose := w.said["NAME"]
	if w.said["WHOM"] != "" {
		whose = w.said["WHOM"]
	}
	lead, ok := p.leads[whose]
	if !ok {
		return "", fmt.Errorf("the text has shown no lead of %s", whose)
	}
	return p.respondTo(ctx, w, lead, w.said["ANSWER"])
}

func (p *play) respondToNothing(ctx context.Context, w words) (string, error) {
	return p.respondTo(ctx, w, p.names.own("nothing"), "accepted")
}

func (p *play) respondTo(ctx context.Context, w words, lead, said string) (string, error) {
	who, err := p.inContact(w)
	if err != nil {
		return "", err
	}
	answer, err := value[journeyv1.Answer](said)
	if err != nil {
		return "", err
	}
	_, err = p.Services.Channel.RespondToLead(p.keyed(ctx), &channelv1.RespondToLeadRequest{ContactId: who.contact, LeadId: lead, Answer: answer})
	return "noted", err
}
