package nba

import (
	"context"
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/proto"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
)

// kindOf names the kind of a commercial event, as channels do; empty for any other
// event.
func kindOf(event proto.Message) string {
	switch m := event.(type) {
	case *channelv1.PropositionPresented:
		return "proposition-presented"
	case *channelv1.PropositionAnswered:
		return "proposition-answered"
	case *channelv1.InterestShown:
		return "interest-shown"
	case *channelv1.BannerClicked:
		return "banner-clicked"
	case *channelv1.CommercialEventRecorded:
		return m.GetKind()
	default:
		return ""
	}
}

// happened counts an event of a kind, and notes when the last of them was.
func (p *projector) happened(ctx context.Context, kind string) error {
	if kind == "" {
		return nil
	}
	return p.exec(ctx, `INSERT INTO nba_event (contact_id, kind, times, last_at) VALUES (?, ?, 1, ?)
		ON CONFLICT (contact_id, kind) DO UPDATE SET times = nba_event.times + 1,
			last_at = CASE WHEN nba_event.last_at < excluded.last_at THEN excluded.last_at ELSE nba_event.last_at END`,
		p.contact, kind, p.at.UnixMilli())
}

// recorded notes the interest that an event of a registered kind shows. Whatever it
// shows, who did it is engaged.
func (p *projector) recorded(ctx context.Context, m *channelv1.CommercialEventRecorded) error {
	topic, proposition := shows(m.GetData())
	if err := p.told(ctx, topic, ""); err != nil {
		return err
	}
	return p.told(ctx, "", proposition)
}

// shows returns the interest that the data of a registered kind tell of. Kinds are
// registered without marketing being asked, so it goes by the names that the data of
// the built-in kinds have: a topic shows interest in it, and a proposition, as in a
// banner that is clicked, in what it is about. Whatever else the data hold means
// nothing here, and is no fault of theirs; data of which the key was destroyed show
// nothing.
func shows(data string) (topic, proposition string) {
	var fields map[string]any
	if json.Unmarshal([]byte(data), &fields) != nil {
		return "", ""
	}
	if text, ok := fields["topic"].(string); ok {
		topic = TopicKey(text)
	}
	for _, name := range []string{"propositionId", "proposition_id"} {
		if text, ok := fields[name].(string); ok && proposition == "" {
			proposition = strings.TrimSpace(text)
		}
	}
	return topic, proposition
}
