package conformance

import (
	"slices"
	"strings"
)

// exclusion is a part of the suite that is not run, whatever the mode.
type exclusion struct {
	function string
	test     string // whose cases it holds
	reason   string
}

// exclusions are all there are.
var exclusions = []exclusion{
	{"TestProjections", "TestProjections", "the store has no projections"},
	{"TestPlugins", "TestPlugins", "the store has no user certificates, a plug-in of EventStoreDB's commercial edition"},
	{"ClusterTests", "TestStreams", "leader change and reads from followers need a real cluster"},
}

// serverTests are the tests that ask for databases. All others need no server.
var serverTests = []string{"TestStreams", "TestPersistentSubscriptions", "TestExpectations"}

// mode is one way to run the suite.
type mode struct {
	name   string
	secure bool
	server bool // whether the tests that need a server are run, or all others
	// absent are functions whose cases the suite itself runs in another mode only.
	absent []string
}

var modes = []mode{
	{name: "insecure", server: true, absent: []string{"TLSTests", "SecureAuthenticationTests"}},
	{name: "secure", server: true, secure: true, absent: []string{"InsecureAuthenticationTests"}},
	{name: "no server"},
}

// tests returns the tests that a mode runs.
func (m mode) tests(s source) []string {
	if m.server {
		return serverTests
	}
	return slices.DeleteFunc(s.tests(), func(name string) bool {
		return slices.Contains(serverTests, name) || excluded(name)
	})
}

// groups returns the tests that a mode runs by the processes that run them. A
// test that has databases to itself has its process to itself too: should it end
// the process, the others are run all the same.
func (m mode) groups(s source) [][]string {
	if !m.server {
		return [][]string{m.tests(s)}
	}
	return slices.Collect(slices.Chunk(m.tests(s), 1))
}

func excluded(function string) bool {
	return slices.ContainsFunc(exclusions, func(e exclusion) bool { return e.function == function })
}

// pattern is what the go command's -run takes for these tests.
func pattern(tests []string) string { return "^(" + strings.Join(tests, "|") + ")$" }

// wanted returns the cases that must end one way or the other in this mode.
func (m mode) wanted(s source) []string {
	var all []string
	for _, test := range m.tests(s) {
		cases := s.cases(test, test, func(function string) bool {
			return excluded(function) || slices.Contains(m.absent, function)
		})
		if len(cases) == 0 {
			cases = []string{test}
		}
		all = append(all, cases...)
	}
	return all
}

// skips returns the cases of an exclusion.
func (e exclusion) skips(s source) []string {
	return s.cases(e.test, e.function, func(string) bool { return false })
}
