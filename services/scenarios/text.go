package scenarios

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Stage is where texts are played.
type Stage string

// The stages.
const (
	Processes  Stage = "real processes"
	Simulation Stage = "simulation"
)

// Text is a scenario, as the header of its file tells:
//
//	# CH-3: What the back office can do at once is done within the contact
//	#
//	# Two lines or so about what it shows.
//	#
//	# Only in simulation: days pass.
//	# On a suite of its own: lists hold whatever anybody offers.
//	# Without faults: what a visitor waits for in vain, others do not.
//
// The last three are there where they are needed, with the reason.
type Text struct {
	Path  string
	IDs   []string
	Title string
	Shows string
	// Only is the stage that it needs, where it needs one; Why says for what.
	Only Stage
	Why  string
	// Alone is why it can't share a World with other texts; empty: it can.
	Alone string
	// Fair is why nothing may break meanwhile; empty: whatever can be mended may.
	Fair string
}

// Name is the name of the text's file, without what all of them have.
func (t Text) Name() string { return strings.TrimSuffix(filepath.Base(t.Path), ".txt") }

// NotOn is why the text can't be played on a stage; empty: it can.
func (t Text) NotOn(s Stage) string {
	if t.Only == "" || t.Only == s {
		return ""
	}
	return t.Why
}

// Texts reads the headers of all texts in a folder, in the order of capabilities.
func Texts(folder string) ([]Text, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil {
		return nil, err
	}
	all := make([]Text, 0, len(files))
	for _, file := range files {
		text, err := read(file)
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	slices.SortStableFunc(all, func(a, b Text) int { return place(a.IDs[0]) - place(b.IDs[0]) })
	return all, nil
}

func read(file string) (Text, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return Text{}, err
	}
	t := Text{Path: file}
	if err := t.parse(content); err != nil {
		return Text{}, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// parse reads the header: the comment that the file begins with.
func (t *Text) parse(content []byte) error {
	var paragraphs []string
	lines := bufio.NewScanner(bytes.NewReader(content))
	begun := false
	for lines.Scan() {
		line, isComment := strings.CutPrefix(lines.Text(), "#")
		if !isComment {
			break
		}
		switch line = strings.TrimSpace(line); {
		case line == "":
			begun = false
		case begun && !isNote(line):
			paragraphs[len(paragraphs)-1] += " " + line
		default:
			paragraphs, begun = append(paragraphs, line), true
		}
	}
	if len(paragraphs) < 2 {
		return fmt.Errorf("the header must say which capabilities it shows, under which title, and what it shows")
	}
	ids, title, ok := strings.Cut(paragraphs[0], ": ")
	if !ok {
		return fmt.Errorf("%q is not as %q", paragraphs[0], "CH-3: a title")
	}
	t.IDs, t.Title = strings.Split(ids, ", "), title
	for _, id := range t.IDs {
		if place(id) < 0 {
			return fmt.Errorf("%s is no capability", id)
		}
	}
	for _, p := range paragraphs[1:] {
		t.note(p)
	}
	return nil
}

// The notes that a header may hold.
const (
	onlySimulated = "Only in simulation: "
	onlyReal      = "Only on real processes: "
	alone         = "On a suite of its own: "
	fair          = "Without faults: "
)

func isNote(paragraph string) bool {
	return slices.ContainsFunc([]string{onlySimulated, onlyReal, alone, fair}, func(note string) bool { return strings.HasPrefix(paragraph, note) })
}

func (t *Text) note(paragraph string) {
	reason := func(note string) string { return strings.TrimSuffix(strings.TrimPrefix(paragraph, note), ".") }
	switch {
	case strings.HasPrefix(paragraph, onlySimulated):
		t.Only, t.Why = Simulation, reason(onlySimulated)
	case strings.HasPrefix(paragraph, onlyReal):
		t.Only, t.Why = Processes, reason(onlyReal)
	case strings.HasPrefix(paragraph, alone):
		t.Alone = reason(alone)
	case strings.HasPrefix(paragraph, fair):
		t.Fair = reason(fair)
	default:
		t.Shows = strings.TrimSpace(t.Shows + " " + paragraph)
	}
}
