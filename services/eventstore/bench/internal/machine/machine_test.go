package machine

import "testing"

func TestIdleShare(t *testing.T) {
	cases := map[string]struct {
		before, after string
		want          float64
	}{
		"idle and waiting for the disk": {"cpu  10 0 10 100 10 0 0 0 0 0\ncpu0 1", "cpu  30 0 30 140 30 0 0 0 0 0\n", 0.6},
		"stolen time is not idle":       {"cpu  0 0 0 0 0 0 0 0 0 0\n", "cpu  0 0 0 25 0 0 0 75 0 0\n", 0.25},
		"guests are not counted twice":  {"cpu  0 0 0 0 0 0 0 0 0 0\n", "cpu  50 0 0 50 0 0 0 0 50 0\n", 0.5},
		"nothing happened":              {"cpu  1 1 1 1 1 1 1 1 1 1\n", "cpu  1 1 1 1 1 1 1 1 1 1\n", 0},
		"another system's":              {"", "what is this\n", 0},
		"malformed":                     {"", "cpu a b c d e f g h i\n", 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := parse(tc.after).Since(parse(tc.before)).IdleShare(); got != tc.want {
				t.Errorf("idle share %v, want %v", got, tc.want)
			}
		})
	}
}
