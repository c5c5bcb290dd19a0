package charts

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Value is one value of a chart, as values.yaml has it.
type Value struct {
	// Key is its name, and Path that with those of the values that it is in, with
	// dots between.
	Key, Path string
	// Text is what its comment says.
	Text string
	// Schema is what its comment says after @schema: what it may be besides the type
	// of its default.
	Schema string
	// Default is what it is when nobody sets it.
	Default *yaml.Node
	// Within are the values of a map that has some.
	Within []*Value
}

// ErrUndescribed says that a comment is missing.
var ErrUndescribed = errors.New("no comment says what it is for: write one above it, or above the map that it is in")

// Values reads values.yaml: each value with the comment above it. A line of a comment
// that begins with @schema says what the value may be: see Schema.
func Values(text []byte) ([]*Value, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("read the values: %w", err)
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("the values are no map")
	}
	return within(document.Content[0], "", false)
}

// within returns the values of a map; described tells that a comment is about all.
func within(m *yaml.Node, path string, described bool) ([]*Value, error) {
	var all []*Value
	for i := 0; i < len(m.Content); i += 2 {
		key, node := m.Content[i], m.Content[i+1]
		v := &Value{Key: key.Value, Path: strings.TrimPrefix(path+"."+key.Value, "."), Default: node}
		v.Text, v.Schema = read(key.HeadComment)
		if v.Text == "" && v.Schema == "" && !described {
			return nil, fmt.Errorf("%s: %w", v.Path, ErrUndescribed)
		}
		if node.Kind == yaml.MappingNode {
			var err error
			if v.Within, err = within(node, v.Path, described || v.Text != "" || v.Schema != ""); err != nil {
				return nil, err
			}
		}
		all = append(all, v)
	}
	return all, nil
}

// read parts a comment into what it says to people and what to machines. What
// stands before an empty line is about the file.
func read(comment string) (text, schema string) {
	paragraphs := strings.Split(comment, "\n\n")
	var words []string
	for _, line := range strings.Split(paragraphs[len(paragraphs)-1], "\n") {
		line = strings.TrimSpace(strings.TrimPrefix(line, "#"))
		if rest, ok := strings.CutPrefix(line, "@schema "); ok {
			schema = rest
		} else if line != "" {
			words = append(words, line)
		}
	}
	return strings.Join(words, " "), schema
}
