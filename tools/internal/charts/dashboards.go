package charts

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed dashboards/*.yaml
var dashboards embed.FS

// A dashboard is written down as what it asks and what that means; where a panel
// stands, and all else that Grafana wants to be told, follows.
type dashboard struct {
	Title, UID string
	// Choose are the variables that somebody chooses besides data source and
	// namespace, each with the query for its values.
	Choose []choice
	Panels []panel
}

type choice struct{ Name, Label, Query string }

type panel struct {
	Title string
	Says  string // what is seen
	Unit  string // Grafana's name of it; none: a plain number
	Show  string // stat, table; none: a line over time
	Ask   []question
}

type question struct {
	Query, Legend string
	// Traces has the traces shown that a histogram names as examples.
	Traces bool
}

// The grid that panels stand on is 24 wide: two lines over time, or four numbers,
// stand beside each other.
const gridWidth = 24

// size is a panel's width and height.
func (p panel) size() (width, height int) {
	switch p.Show {
	case "stat":
		return 6, 4
	case "table":
		return gridWidth, 8
	default:
		return 12, 8
	}
}

// dashboardFiles are the dashboards as Grafana reads them, by file name.
func dashboardFiles() (map[string][]byte, error) {
	made := map[string][]byte{}
	sources, err := fs.Glob(dashboards, "dashboards/*.yaml")
	if err != nil {
		return nil, err
	}
	for _, source := range sources {
		text, err := fs.ReadFile(dashboards, source)
		if err != nil {
			return nil, err
		}
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		var d dashboard
		if err := decoder.Decode(&d); err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
		if made[strings.TrimSuffix(path.Base(source), ".yaml")+".json"], err = d.json(); err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
	}
	return made, nil
}

func (d dashboard) json() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	err := encoder.Encode(object{
		"title": d.Title, "uid": d.UID, "tags": []string{"triangle"},
		"schemaVersion": 39, "version": 1, "editable": true, "refresh": "30s",
		"time":        object{"from": "now-6h", "to": "now"},
		"annotations": object{"list": []any{}},
		// From one dashboard to the others, for the same environment and time.
		"links": []any{object{
			"type": "dashboards", "title": "Triangle", "tags": []string{"triangle"},
			"asDropdown": true, "includeVars": true, "keepTime": true,
		}},
		"templating": object{"list": d.variables()},
		"panels":     d.panels(),
	})
	return out.Bytes(), err
}

// source is where every panel has its answers from.
var source = object{"type": "prometheus", "uid": "${datasource}"}

func (d dashboard) variables() []any {
	all := []any{object{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}}
	choices := append([]choice{{"namespace", "Namespace", "label_values(triangle_flow_info, namespace)"}}, d.Choose...)
	for _, c := range choices {
		all = append(all, object{
			"name": c.Name, "label": c.Label, "type": "query", "datasource": source,
			"query": object{"query": c.Query, "refId": "A"}, "refresh": 2, "multi": true, "includeAll": true,
			"current": object{"text": "All", "value": "$__all"},
		})
	}
	return all
}

func (d dashboard) panels() []any {
	var all []any
	x, y, row := 0, 0, 0
	for i, p := range d.Panels {
		width, height := p.size()
		if x+width > gridWidth {
			x, y, row = 0, y+row, 0
		}
		all = append(all, object{
			"id": i + 1, "title": p.Title, "description": p.Says, "type": p.kind(), "datasource": source,
			"gridPos":     object{"x": x, "y": y, "w": width, "h": height},
			"fieldConfig": object{"defaults": object{"unit": p.Unit}, "overrides": []any{}},
			"targets":     p.targets(),
		})
		x, row = x+width, max(row, height)
	}
	return all
}

func (p panel) kind() string {
	if p.Show == "" {
		return "timeseries"
	}
	return p.Show
}

func (p panel) targets() []any {
	var all []any
	for i, q := range p.Ask {
		target := object{"refId": string(rune('A' + i)), "expr": q.Query, "legendFormat": q.Legend}
		if q.Traces {
			target["exemplar"] = true
		}
		if p.Show == "table" {
			target["format"], target["instant"] = "table", true
		}
		all = append(all, target)
	}
	return all
}
