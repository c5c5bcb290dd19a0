package scenarios

import (
	"context"
	"fmt"
	"strings"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
)

var callCommands = []command{
	{form: "calls", do: (*play).showCalls, again: true},
	{form: "agent AGENT takes the call to NAME", do: (*play).takeCall},
	{form: "agent AGENT gives the call to NAME back", do: (*play).giveBackCall},
	{form: "agent AGENT ends the call to NAME as RESULT", do: (*play).endCall},
}

// callsTo are the calls that the call centre has for the customers of the text, by
// name: the last one to each.
func (p *play) callsTo(ctx context.Context) (map[string]*channelv1.Message, error) {
	list, err := p.Services.Channel.ListMessages(ctx, &channelv1.ListMessagesRequest{Channel: journeyv1.Channel_CHANNEL_CALL_CENTRE})
	if err != nil {
		return nil, err
	}
	calls := map[string]*channelv1.Message{}
	for _, who := range p.people {
		for _, m := range list.GetMessages() {
			if m.GetCustomerId() == who.customer && calls[who.name] == nil {
				calls[who.name] = m
			}
		}
	}
	return calls, nil
}

// showCalls shows where each call stands.
func (p *play) showCalls(ctx context.Context, _ words) (string, error) {
	calls, err := p.callsTo(ctx)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, name := range sorted(calls) {
		m := calls[name]
		if m.GetCallState() == channelv1.CallState_CALL_STATE_UNSPECIFIED {
			continue
		}
		fmt.Fprintf(&b, "%s, %s", name, word(m.GetCallState()))
		if m.GetAgentId() != "" {
			fmt.Fprintf(&b, ", %s", m.GetAgentId())
		}
		fmt.Fprintln(&b, back(m))
	}
	if b.Len() == 0 {
		return "none", nil
	}
	return b.String(), nil
}

// back is why a call came back to the list, where it did.
func back(m *channelv1.Message) string {
	if m.GetReturnedBecause() == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", m.GetReturnedBecause())
}

// callTo is the call to a customer, and the agent whom a line names.
func (p *play) callTo(ctx context.Context, w words) (message, agent string, err error) {
	calls, err := p.callsTo(ctx)
	if err != nil {
		return "", "", err
	}
	m, ok := calls[w.said["NAME"]]
	if !ok {
		return "", "", fmt.Errorf("the text has shown no call to %s", w.said["NAME"])
	}
	return m.GetMessageId(), p.names.own(w.said["AGENT"]), nil
}

func (p *play) takeCall(ctx context.Context, w words) (string, error) {
	message, agent, err := p.callTo(ctx, w)
	if err != nil {
		return "", err
	}
	taken, err := p.Services.Channel.TakeCall(p.keyed(ctx), &channelv1.TakeCallRequest{MessageId: message, AgentId: agent})
	if err != nil {
		return "", err
	}
	m := taken.GetMessage()
	return fmt.Sprintf("call %s: %s%s", m.GetAddress(), m.GetContent(), back(m)), nil
}

func (p *play) giveBackCall(ctx context.Context, w words) (string, error) {
	message, agent, err := p.callTo(ctx, w)
	if err != nil {
		return "", err
	}
	_, err = p.Services.Channel.GiveBackCall(p.keyed(ctx), &channelv1.GiveBackCallRequest{MessageId: message, AgentId: agent, Reason: w.Input})
	return "it is on the list again", err
}

func (p *play) endCall(ctx context.Context, w words) (string, error) {
	message, agent, err := p.callTo(ctx, w)
	if err != nil {
		return "", err
	}
	result, err := value[channelv1.CallResult](w.said["RESULT"])
	if err != nil {
		return "", err
	}
	_, err = p.Services.Channel.EndCall(p.keyed(ctx), &channelv1.EndCallRequest{MessageId: message, AgentId: agent, Result: result})
	return "noted", err
}
