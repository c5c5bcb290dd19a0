package contact

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	channelv1 "github.com/triangle-suite/triangle/contracts/channel/v1"
	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
	"github.com/triangle-suite/triangle/services/channel/internal/idle"
)

const timedOut = channelv1.ContactOutcome_CONTACT_OUTCOME_TIMED_OUT

// TimeOuts are for how long a contact of each channel may lie untouched before it
// ends by itself.
type TimeOuts = idle.TimeOuts

// defaultTimeOuts are those of an installation that sets no others: as long as it
// takes to come back to a page, to be put through, to be served, or to write back.
var defaultTimeOuts = TimeOuts{
	journeyv1.Channel_CHANNEL_WEBSITE:     30 * time.Minute,
	journeyv1.Channel_CHANNEL_EMAIL:       3 * 24 * time.Hour,
	journeyv1.Channel_CHANNEL_CALL_CENTRE: time.Hour,
	journeyv1.Channel_CHANNEL_BRANCH:      2 * time.Hour,
	journeyv1.Channel_CHANNEL_PRINT:       14 * 24 * time.Hour,
}

// ParseTimeOuts reads time-outs that are set, such as website=20m,call-centre=2h.
// Channels that are not named keep their defaults.
func ParseTimeOuts(text string) (TimeOuts, error) {
	all, set := maps.Clone(defaultTimeOuts), map[journeyv1.Channel]bool{}
	if text == "" {
		return all, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, after, _ := strings.Cut(strings.TrimSpace(part), "=")
		channel, known := channelCalled(name)
		timeOut, err := time.ParseDuration(after)
		switch {
		case !known:
			return nil, fmt.Errorf("has %q, which names no channel: write channel=time, such as website=20m, for any of %s", part, strings.Join(channelNames(), ", "))
		case err != nil:
			return nil, fmt.Errorf("has %q, which is no time: write such as %s=90m or %[2]s=72h", part, name)
		case timeOut < idle.Shortest:
			return nil, fmt.Errorf("has %q: a contact must be left at least %s", part, idle.Shortest)
		case set[channel]:
			return nil, fmt.Errorf("has two times for %s: leave one of them out", name)
		}
		all[channel], set[channel] = timeOut, true
	}
	return all, nil
}

// channelCalled is the channel of a name in a setting: call-centre.
func channelCalled(name string) (journeyv1.Channel, bool) {
	for _, channel := range defaultTimeOuts.Channels() {
		if channelName(channel) == name {
			return channel, true
		}
	}
	return 0, false
}

func channelNames() (names []string) {
	for _, channel := range defaultTimeOuts.Channels() {
		names = append(names, channelName(channel))
	}
	return names
}

func channelName(channel journeyv1.Channel) string {
	name := strings.TrimPrefix(channel.String(), "CHANNEL_")
	return strings.ToLower(strings.ReplaceAll(name, "_", "-"))
}

// isTouch tells the events that keep a contact alive: its start, its steps, and
// what is shown in it. What others make of it (CRM knows the visitor, the back
// office has done a request) does not say that anybody is still there.
func isTouch(event proto.Message) bool {
	switch event.(type) {
	case *channelv1.ContactStarted, *channelv1.VariantShown:
		return true
	}
	return stepOf(event) != nil
}

// TimeOut ends a contact that nobody has touched for its channel's time-out.
type TimeOut struct {
	// Touches are how many there had been in the contact that was looked at. Another
	// one since then wins: somebody is there.
	Touches uint64
	// At is when its time was up.
	At time.Time
}

// Decide decides it.
func (c TimeOut) Decide(s State) ([]proto.Message, error) {
	switch {
	case s.ID == "":
		return nil, errNotFound()
	case s.Ended != 0 || s.Touches != c.Touches:
		return nil, nil
	}
	return []proto.Message{&channelv1.ContactEnded{ContactId: s.ID, Outcome: timedOut, EndedAt: timestamppb.New(c.At)}}, nil
}
