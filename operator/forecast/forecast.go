// Package forecast tells, without a cluster, what a migration would do, and when at
// the earliest. It is what triangle migrate plan prints.
package forecast

import (
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
	"github.com/triangle-suite/triangle/operator/internal/plan"
)

// Foreseen is what would happen, and when at the earliest.
type Foreseen = plan.Foreseen

// Plan is what an InformationFlow comes to.
type Plan struct {
	// Object is the InformationFlow's name, and Flow that of its flow.
	Object, Flow string
	// Hash is what an approval names the plan by.
	Hash string
	// Cadence is what the flow is taken to run at when it begins.
	Cadence string
	// Steps is what would happen, in order.
	Steps []Foreseen
}

// Errors of Read.
var (
	// ErrNotAFlow says that a document is no InformationFlow.
	ErrNotAFlow = errors.New("this is no InformationFlow of triangle.dev/v1alpha1: write apiVersion, kind, metadata.name and spec")
	// ErrRefused says that the operator would not follow it.
	ErrRefused = errors.New("the operator would refuse this")
)

// Of returns what the InformationFlow in a YAML document comes to, beginning at from
// with a flow that runs at cadence; an empty one is the catalogue's. It fails with
// ErrNotAFlow, and with ErrRefused for all that the operator would refuse: the error
// has a line for each.
func Of(document []byte, cadence string, from time.Time) (Plan, error) {
	var object v1alpha1.InformationFlow
	if err := yaml.UnmarshalStrict(document, &object); err != nil {
		return Plan{}, fmt.Errorf("%w (%w)", ErrNotAFlow, err)
	}
	if object.Kind != "InformationFlow" || object.APIVersion != v1alpha1.GroupVersion.String() || object.Name == "" {
		return Plan{}, ErrNotAFlow
	}
	spec, err := plan.Read(&object, flows.Find, from)
	if err != nil {
		return Plan{}, fmt.Errorf("%w:\n%w", ErrRefused, err)
	}
	if cadence == "" {
		cadence = spec.Flow.Cadence
	}
	steps, err := plan.Forecast(spec, cadence, from)
	if err != nil {
		return Plan{}, err
	}
	return Plan{Object: object.Name, Flow: spec.Flow.Name, Hash: spec.Hash, Cadence: cadence, Steps: steps}, nil
}
