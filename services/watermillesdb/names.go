package watermillesdb

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// StreamOfTopic names the stream of a topic, unless a configuration names it
// otherwise.
func StreamOfTopic(topic string) string { return "watermill-" + topic }

// StreamOfGroup names the stream that tells who of a consumer group has a topic,
// and how far it has come. The group is escaped, so that no two pairs share one.
func StreamOfGroup(group, topic string) string {
	return "watermillgroup-" + url.QueryEscape(group) + ":" + topic
}

var errNoTopic = errors.New("a topic has a name")

// streamOf returns the stream of a topic.
func streamOf(name func(string) string, topic string) (string, error) {
	if topic == "" {
		return "", errNoTopic
	}
	stream := name(topic)
	if stream == "" || strings.HasPrefix(stream, "$") {
		return "", fmt.Errorf("topic %q: its stream %q has to have a name, and the names that begin with $ are the store's own", topic, stream)
	}
	return stream, nil
}
