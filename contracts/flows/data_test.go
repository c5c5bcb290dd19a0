package flows_test

import (
	"reflect"
	"testing"

	"github.com/triangle-suite/triangle/contracts/flows"
)

func TestTheCatalogueComesBackFromDataAsItWas(t *testing.T) {
	for _, want := range flows.Catalogue {
		if got := flows.FromData(want.Data()); !reflect.DeepEqual(got, want) {
			t.Errorf("%s came back as %+v", want.Name, got)
		}
	}
}
