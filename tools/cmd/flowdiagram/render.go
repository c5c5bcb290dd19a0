package main

import (
	"fmt"
	"strings"

	"github.com/triangle-suite/triangle/contracts/flows"
)

// render is the diagram, and the table below it.
func render(catalogue []flows.Flow) string { return diagram(catalogue) + "\n" + table(catalogue) }

// diagram is the triangle in Mermaid: an arrow for each flow. An arrow in real
// time is solid, one that is taken in by windows is dotted.
func diagram(catalogue []flows.Flow) string {
	var b strings.Builder
	b.WriteString("```mermaid\nflowchart LR\n")
	for _, service := range flows.Services {
		fmt.Fprintf(&b, "    %s([%s support])\n", service, capitalise(string(service)))
	}
	for _, flow := range catalogue {
		arrow := "-.->"
		if flow.Cadence == flows.RealTime {
			arrow = "-->"
		}
		fmt.Fprintf(&b, "    %s %s|\"%s<br/>%s\"| %s\n", flow.From, arrow, flow.Name, cadence(flow), flow.To)
	}
	b.WriteString("```\n")
	return b.String()
}

// table is the catalogue in Markdown.
func table(catalogue []flows.Flow) string {
	var b strings.Builder
	b.WriteString("| flow | from → to | default cadence | key | event types | owner |\n|---|---|---|---|---|---|\n")
	for _, flow := range catalogue {
		cells := []string{
			code(flow.Name),
			fmt.Sprintf("%s → %s", flow.From, flow.To),
			cadence(flow),
			strings.Join(codes(flow.Key), ", else "),
			strings.Join(codes(flow.Types), ", "),
			flow.Owner,
		}
		for i, cell := range cells {
			cells[i] = strings.ReplaceAll(cell, "|", `\|`)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	return b.String()
}

func cadence(flow flows.Flow) string {
	if flow.Cadence == flows.RealTime {
		return "real time"
	}
	return flow.Cadence
}

func codes(names []string) []string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = code(name)
	}
	return quoted
}

func code(name string) string { return "`" + name + "`" }

func capitalise(word string) string { return strings.ToUpper(word[:1]) + word[1:] }
