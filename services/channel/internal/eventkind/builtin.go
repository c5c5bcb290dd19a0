package eventkind

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// The kinds that are there from the start.
const (
	PropositionPresented = "proposition-presented"
	PropositionAnswered  = "proposition-answered"
	InterestShown        = "interest-shown"
	BannerClicked        = "banner-clicked"
)

// forms are the fields of a RecordEventRequest that built-in kinds are recorded
// by.
var forms = map[string]string{
	PropositionPresented: "presented", PropositionAnswered: "answered",
	InterestShown: "interest", BannerClicked: "banner",
}

//go:embed builtin
var files embed.FS

// builtIn are the kinds that are there from the start. Its error is a mistake in
// a file of the program.
var builtIn = sync.OnceValues(func() (map[string]*Kind, error) {
	kinds := map[string]*Kind{}
	for _, name := range slices.Sorted(maps.Keys(forms)) {
		raw, err := files.ReadFile("builtin/" + name + ".json")
		if err != nil {
			return nil, err
		}
		var doc map[string]any
		if err := json.Unmarshal(raw, &doc); err != nil {
			return nil, fmt.Errorf("the built-in schema of %s: %w", name, err)
		}
		schema, violations := parse(doc)
		if len(violations) > 0 {
			return nil, fmt.Errorf("the built-in schema of %s: %v", name, violations)
		}
		kinds[name] = &Kind{Name: name, Version: 1, Form: forms[name], schema: schema}
	}
	return kinds, nil
})
