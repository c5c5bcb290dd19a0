package run

import (
	"errors"
	"testing"
)

func TestTheOperatorStartsOnlyWhereItIsToldWhatToLookAfter(t *testing.T) {
	tests := map[string]struct {
		settings Settings
		want     error
	}{
		"some namespaces":           {Settings{Namespaces: []string{"a", "b"}, LeaderElect: true, Home: "operators"}, nil},
		"all of them":               {Settings{AllNamespaces: true, LeaderElect: true, Home: "operators"}, nil},
		"alone, and at home anyhow": {Settings{AllNamespaces: true}, nil},
		"none":                      {Settings{LeaderElect: true, Home: "operators"}, ErrNamespaces},
		"both":                      {Settings{Namespaces: []string{"a"}, AllNamespaces: true}, ErrNamespaces},
		"without a home":            {Settings{AllNamespaces: true, LeaderElect: true}, ErrHome},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if err := tc.settings.Check(); !errors.Is(err, tc.want) {
				t.Errorf("Check = %v, want %v", err, tc.want)
			}
		})
	}
}
