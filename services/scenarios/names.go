package scenarios

import (
	"cmp"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
)

// names tell what a text names from the ids and values that stand for it in a
// world. Values are the text's own, so that no other text on the same world uses
// them.
type names struct {
	scope string
	by    map[string]string // name by value
	seen  map[string]int    // how many there are of a kind
}

func newNames(scope string) *names {
	return &names{scope: scope, by: map[string]string{}, seen: map[string]int{}}
}

// own is a name as the world knows it.
func (n *names) own(name string) string {
	if name == "" {
		return ""
	}
	return n.remember(n.scope+"-"+name, name)
}

// email is an address of the text's own: anna@example.org in the text.
func (n *names) email(address string) string {
	user, host, ok := strings.Cut(address, "@")
	if !ok {
		return address
	}
	return n.remember(user+"."+n.scope+"@"+host, address)
}

// phone is a number of the text's own.
func (n *names) phone(number string) string {
	if number == "" {
		return ""
	}
	return n.remember(fmt.Sprintf("+31%09d", crc32.ChecksumIEEE([]byte(n.scope+number))%1_000_000_000), number)
}

func (n *names) remember(value, name string) string {
	n.by[value] = name
	return value
}

// id gives an id that is seen for the first time a name: quote-1, quote-2, and so on.
func (n *names) id(kind, value string) string {
	if name, ok := n.by[value]; ok {
		return name
	}
	n.seen[kind]++
	return n.call(value, fmt.Sprintf("%s-%d", kind, n.seen[kind]))
}

// call gives an id a name.
func (n *names) call(value, name string) string {
	if value != "" {
		n.by[value] = name
	}
	return name
}

// plain writes names instead of ids and values.
func (n *names) plain(text string) string {
	values := make([]string, 0, len(n.by))
	for value := range n.by {
		values = append(values, value)
	}
	// The longest first: one may begin as another one.
	slices.SortFunc(values, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	pairs := make([]string, 0, 2*len(values))
	for _, value := range values {
		pairs = append(pairs, value, n.by[value])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
