package arch

import (
	"os"
	"strings"
	"testing"
)

// The README quotes a scenario. What it quotes is played.
func TestTheReadmeQuotesAScenarioAsItIs(t *testing.T) {
	const file = "scenarios/ch-3-straight-through.txt"
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../" + file)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(readme), "("+file+"):\n\n```\n")
	quoted, _, ok := strings.Cut(after, "\n```\n")
	if !ok || !strings.Contains(string(text), quoted) {
		t.Errorf("the README does not quote %s as it is:\n%s", file, quoted)
	}
}
