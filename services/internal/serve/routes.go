package serve

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// routes are the paths of the REST API, as its description lists them. The
// gateway knows them too, but tells neither which methods a path has nor which
// query parameters a method takes.
type routes []route

type route struct {
	segments []string
	methods  map[string]operation // by HTTP method
}

// operation holds the query parameters that it takes, and the values of fields that
// have names: those of parameters and of the body. Fields are in snake case.
type operation struct {
	takes  map[string]bool
	values map[string][]string
}

func parseRoutes(openAPI []byte) (routes, error) {
	var document struct {
		Paths map[string]map[string]struct {
			Parameters []parameter
		}
		Definitions map[string]schema
	}
	if err := json.Unmarshal(openAPI, &document); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	var all routes
	for path, methods := range document.Paths {
		r := route{segments: strings.Split(path, "/"), methods: map[string]operation{}}
		for method, described := range methods {
			o := operation{takes: map[string]bool{}, values: map[string][]string{}}
			for _, p := range described.Parameters {
				if p.In == "query" {
					o.takes[snakeCase(p.Name)] = true
				}
				valuesIn(document.Definitions).gather(p, o.values)
			}
			r.methods[strings.ToUpper(method)] = o
		}
		all = append(all, r)
	}
	return all, nil
}

// methodsOf returns the operations of a path, by HTTP method. Where two paths
// match, as {a}/b and a/{b} do, it has those of both.
func (rs routes) methodsOf(path string) map[string]operation {
	segments := strings.Split(path, "/")
	found := map[string]operation{}
	for _, r := range rs {
		if !r.matches(segments) {
			continue
		}
		for method, o := range r.methods {
			if _, ok := found[method]; !ok {
				found[method] = operation{takes: map[string]bool{}, values: map[string][]string{}}
			}
			maps.Copy(found[method].takes, o.takes)
			maps.Copy(found[method].values, o.values)
		}
	}
	return found
}

func (r route) matches(segments []string) bool {
	return slices.EqualFunc(r.segments, segments, func(pattern, segment string) bool {
		return pattern == segment || strings.HasPrefix(pattern, "{")
	})
}

// allow returns the value of the Allow header for a path: HEAD is a GET whose
// answer has no body.
func (rs routes) allow(path string) string {
	var methods []string
	for method := range rs.methodsOf(path) {
		methods = append(methods, method)
		if method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// unknownParameters returns the query parameters that the operation does not
// take. The gateway would drop them in silence, and a caller who mistypes a
// filter would get what it does not filter.
func (rs routes) unknownParameters(method, path string, query url.Values) []string {
	o, known := rs.methodsOf(path)[method]
	if !known {
		return nil // the gateway answers what is no route
	}
	var unknown []string
	for name := range query {
		if !o.takes[snakeCase(name)] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// snakeCase writes a JSON name as the proto's: the gateway takes both.
func snakeCase(name string) string {
	var b strings.Builder
	for _, r := range name {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}
