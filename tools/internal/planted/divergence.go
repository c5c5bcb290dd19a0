package planted

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
)

// divergence is a seed that failed, and what was said of it first.
type divergence struct {
	seed int
	text string
}

var (
	turn   = regexp.MustCompile(`^=== (?:RUN|CONT|NAME) .*?(?:seed=(\d+))?$`)
	failed = regexp.MustCompile(`^\s*--- FAIL: .*seed=(\d+)`)
	remark = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)`)
	panics = regexp.MustCompile(`^(?:panic|fatal error): (.*)`)
)

// firstDivergence reads what a simulation said, and returns the least seed that
// failed. A panic fails the seed that it is said under.
func firstDivergence(said []byte) (least divergence, ok bool) {
	first, now := map[int]string{}, 0
	note := func(seed int) {
		if !ok || seed < least.seed {
			least, ok = divergence{seed: seed}, true
		}
	}
	for line := range bytes.Lines(said) {
		line := strings.TrimRight(string(line), "\r\n")
		if m := turn.FindStringSubmatch(line); m != nil {
			now, _ = strconv.Atoi(m[1]) // 0 where there is no seed
		} else if m := failed.FindStringSubmatch(line); m != nil {
			seed, _ := strconv.Atoi(m[1])
			note(seed)
		} else if m := panics.FindStringSubmatch(line); m != nil && now > 0 {
			first[now] = line
			note(now)
		} else if m := remark.FindStringSubmatch(line); m != nil && first[now] == "" {
			first[now] = m[1]
		}
	}
	if ok {
		least.text = first[least.seed]
	}
	return least, ok
}
