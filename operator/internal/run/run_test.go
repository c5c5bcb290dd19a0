package run

import (
	"cmp"
	"errors"
	"testing"
	"time"
)

func TestTheOperatorStartsOnlyWhereItIsToldWhatToLookAfter(t *testing.T) {
	wrong := func(how func(*Settings)) Settings {
		s := Settings{AllNamespaces: true, LeaderElect: true, Home: "operators"}
		how(&s)
		return s
	}
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
		"a leader that goes on when another one begins": {wrong(func(s *Settings) { s.LeaseDuration, s.RenewDeadline = 10*time.Second, 10*time.Second }), ErrLease},
		"a leader that has one try":                     {wrong(func(s *Settings) { s.RetryPeriod = 9 * time.Second }), ErrLease},
		"who seldom watches":                            {wrong(func(s *Settings) { s.WatchEvery = time.Minute }), ErrWatch},
		"who does not watch":                            {wrong(func(s *Settings) { s.WatchEvery = -1 }), ErrWatch},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := tc.settings
			s.LeaseDuration, s.RenewDeadline = cmp.Or(s.LeaseDuration, 15*time.Second), cmp.Or(s.RenewDeadline, 10*time.Second)
			s.RetryPeriod, s.WatchEvery = cmp.Or(s.RetryPeriod, 2*time.Second), cmp.Or(s.WatchEvery, 30*time.Second)
			if err := s.Check(); !errors.Is(err, tc.want) {
				t.Errorf("Check = %v, want %v", err, tc.want)
			}
		})
	}
}
