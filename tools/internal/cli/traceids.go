package cli

import (
	"maps"
	"regexp"
	"slices"

	"github.com/triangle-suite/triangle/services/story"
)

// idLength is how much of an id is printed, unless two ids begin alike.
const idLength = 8

// anyID finds UUIDs, ids of traces, and the keyed hashes that streams are called by.
var anyID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b(?:[0-9a-f]{32}){1,2}\b`)

// shortener cuts ids to as much of them as tells each from all others of a story.
type shortener struct{ short map[string]string }

func shortIDs(told *story.Story, full bool) *shortener {
	s := &shortener{short: map[string]string{}}
	if full {
		return s
	}
	found := map[string]bool{}
	note := func(text string) {
		for _, id := range anyID.FindAllString(text, -1) {
			found[id] = true
		}
	}
	told.All(func(h *story.Happening, _ int) {
		for _, text := range []string{h.ID, h.Trace, h.Stream} {
			note(text)
		}
		for _, f := range h.Facts {
			note(f.Value)
		}
	})
	all := slices.Sorted(maps.Keys(found))
	for i, id := range all {
		length := idLength
		if i > 0 {
			length = max(length, alike(all[i-1], id)+1)
		}
		if i+1 < len(all) {
			length = max(length, alike(id, all[i+1])+1)
		}
		s.short[id] = id[:min(length, len(id))]
	}
	return s
}

// alike is how much two ids have in common at their beginning.
func alike(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func (s *shortener) of(id string) string {
	if short, ok := s.short[id]; ok {
		return short
	}
	return id
}

// within shortens the ids within a text. Those that a command is to be given stay as
// they are.
func (s *shortener) within(text string) string {
	if command.MatchString(text) {
		return text
	}
	return anyID.ReplaceAllStringFunc(text, s.of)
}

var command = regexp.MustCompile(`\(triangle [^)]*\)`)
