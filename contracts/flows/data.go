package flows

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/types/known/durationpb"

	flowv1 "github.com/triangle-suite/triangle/contracts/flow/v1"
)

// Data returns a flow of the catalogue as a build announces it.
func (f Flow) Data() *flowv1.CatalogueFlow {
	data := &flowv1.CatalogueFlow{
		Name: f.Name, From: string(f.From), To: string(f.To), Types: f.Types, Key: f.Key,
		Owner: f.Owner, Rationale: f.Rationale, Cadence: f.Cadence,
	}
	for _, cadence := range slices.Sorted(maps.Keys(f.Objectives)) {
		o := f.Objectives[cadence]
		data.Objectives = append(data.Objectives, &flowv1.CadenceObjective{
			Cadence: cadence, Objective: &flowv1.Objective{Staleness: durationpb.New(o.Staleness), Share: o.Share},
		})
	}
	return data
}

// FromData returns the flow that a build announced, which may be another than this
// build's own of that name.
func FromData(data *flowv1.CatalogueFlow) Flow {
	f := Flow{
		Name: data.GetName(), From: Service(data.GetFrom()), To: Service(data.GetTo()), Types: data.GetTypes(), Key: data.GetKey(),
		Owner: data.GetOwner(), Rationale: data.GetRationale(), Cadence: data.GetCadence(),
	}
	for _, o := range data.GetObjectives() {
		if f.Objectives == nil {
			f.Objectives = map[string]Objective{}
		}
		f.Objectives[o.GetCadence()] = Objective{
			Staleness: o.GetObjective().GetStaleness().AsDuration(), Share: o.GetObjective().GetShare(),
		}
	}
	return f
}
