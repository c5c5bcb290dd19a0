package charts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The lines of a README between which the values stand.
const (
	begin = "<!-- values:begin -->\n"
	end   = "<!-- values:end -->\n"
)

// ErrMarkers says that a README has no place for the values.
var ErrMarkers = errors.New("the lines <!-- values:begin --> and <!-- values:end --> must be there, once each, in this order")

// Readme puts the values between their markers in a README.
func Readme(readme []byte, values []*Value) ([]byte, error) {
	if bytes.Count(readme, []byte(begin)) != 1 || bytes.Count(readme, []byte(end)) != 1 {
		return nil, ErrMarkers
	}
	before, rest, _ := bytes.Cut(readme, []byte(begin))
	_, after, ok := bytes.Cut(rest, []byte(end))
	if !ok {
		return nil, ErrMarkers
	}
	var table strings.Builder
	table.WriteString("\n| value | default | what it is |\n|---|---|---|\n")
	for _, v := range values {
		if err := rows(&table, v); err != nil {
			return nil, fmt.Errorf("%s: %w", v.Path, err)
		}
	}
	return fmt.Appendf(nil, "%s%s%s\n%s%s", before, begin, table.String(), end, after), nil
}

// rows writes a value, and those in it: a map that only holds others has no default.
func rows(to *strings.Builder, v *Value) error {
	text := strings.ReplaceAll(v.Text, "|", `\|`)
	if len(v.Within) == 0 || v.free() {
		given, err := inline(v.Default)
		if err != nil {
			return err
		}
		fmt.Fprintf(to, "| `%s` | `%s` | %s |\n", v.Path, strings.ReplaceAll(given, "|", `\|`), text)
		return nil
	}
	if text != "" {
		fmt.Fprintf(to, "| **`%s`** | | %s |\n", v.Path, text)
	}
	for _, inner := range v.Within {
		if err := rows(to, inner); err != nil {
			return err
		}
	}
	return nil
}

// free tells that what a map may hold is not what its default holds.
func (v *Value) free() bool {
	return strings.Contains(v.Schema, "additionalProperties") || strings.HasPrefix(v.Schema, "like Triangle")
}

// inline writes a default in one line.
func inline(node *yaml.Node) (string, error) {
	var value any
	if err := node.Decode(&value); err != nil {
		return "", err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "", err
	}
	return strings.TrimSpace(out.String()), nil
}
