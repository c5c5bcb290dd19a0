package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/triangle-suite/triangle/contracts/flows"
	"github.com/triangle-suite/triangle/operator/api/v1alpha1"
)

// Spec is what an InformationFlow wants, checked.
type Spec struct {
	Object Object
	// Flow is the flow's entry in the catalogue.
	Flow flows.Flow
	// Steps are from slow to fast, and Hash names them and all that has to be so for
	// each: approvals are of one Hash.
	Steps []Step
	Hash  string
	// Windows are when a step may begin; at any time when there are none.
	Windows []Window
	// Hold tells that a gate that fails holds the migration, and does not roll back.
	Hold bool
	// Paused tells that the migration is to be held where it is.
	Paused bool
	// Abort, Retry and Pause are requests by annotation; empty when there is none.
	Abort, Retry, Pause Token
}

// Asked returns the same with what the object's annotations ask for now: unlike all
// else they change without another generation of the object.
func (s Spec) Asked(object *v1alpha1.InformationFlow) Spec {
	s.Abort = Token(object.Annotations[v1alpha1.AnnotationAbort])
	s.Retry = Token(object.Annotations[v1alpha1.AnnotationRetry])
	s.Pause = Token(object.Annotations[v1alpha1.AnnotationPause])
	return s
}

// WantsHours tells whether a gate rests on how fresh the flow was, hour by hour: else
// that need not be read.
func (s Spec) WantsHours() bool {
	for _, step := range s.Steps {
		for _, g := range step.Gates {
			if g.Kind != Parity {
				return true
			}
		}
	}
	return false
}

// Object is where a Spec is written.
type Object struct {
	Namespace, Name, UID string
	Generation           int64
}

// String is namespace/name.
func (o Object) String() string { return o.Namespace + "/" + o.Name }

// Token is a request by annotation: a time in RFC 3339, and maybe who asks.
type Token string

// when is the token's time; ok is false when it begins with none.
func (t Token) when() (at time.Time, ok bool) {
	text, _, _ := strings.Cut(string(t), " ")
	at, err := time.Parse(time.RFC3339, text)
	return at, err == nil
}

// by is who asks.
func (t Token) by() string {
	_, by, _ := strings.Cut(string(t), " ")
	return by
}

// after tells whether the token is another request than the last one that was
// followed, and not an older one that somebody has applied again.
func (t Token) after(handled string) bool {
	at, ok := t.when()
	if !ok {
		return false
	}
	before, ok := Token(handled).when()
	return !ok || at.After(before)
}

// Kind is what a gate is about.
type Kind string

// The kinds of gates.
const (
	Parity      Kind = "parity"
	Lag         Kind = "lag"
	Freshness   Kind = "freshness"
	ErrorBudget Kind = "errorBudget"
)

// Gate is one thing that has to be so. Only the fields of its kind are set, in the
// form that a hash is made of.
type Gate struct {
	Name string
	Kind Kind
	// Missing, Duplicated and Reordered are how many a proof may find.
	Missing, Duplicated, Reordered uint64
	// MaxEvents is how many may wait.
	MaxEvents uint64
	// Max is how old what waits may be, for Share of the time.
	Max   time.Duration
	Share float64
	// MinLeft is how much of the error budget has to be left, in per cent.
	MinLeft int
	// For is for how long it has to be so, Consecutive for how many in a row.
	For         time.Duration
	Consecutive int
	// DryRun tells that nothing comes of it.
	DryRun bool
}

// Approval is somebody's word that a step waits for.
type Approval struct {
	Timeout time.Duration // 0: for ever
}

// hash names the steps. Two texts of one duration, or of one share, are the same.
func hash(steps []Step) (string, error) {
	text, err := json.Marshal(steps)
	if err != nil {
		return "", fmt.Errorf("hash of a plan: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}

// ErrUnknownFlow says that no service announces the flow.
var ErrUnknownFlow = errors.New("no service announces such a flow: see its name in triangle flow list, or install the services that take it in")

// Catalogue looks a flow up by its name.
type Catalogue func(name string) (flows.Flow, bool)

// Read checks an InformationFlow, and returns what it wants. What the API server
// refuses is refused here, too, in the same words: an older schema may have let it
// through. The error says all that is wrong, a line each. from is when the year
// begins over which steps are compared.
func Read(object *v1alpha1.InformationFlow, catalogue Catalogue, from time.Time) (Spec, error) {
	r := &reader{}
	spec := Spec{
		Object: Object{object.Namespace, object.Name, string(object.UID), object.Generation},
		Hold:   object.Spec.Migration.OnFailure == v1alpha1.Hold,
		Paused: object.Spec.State == v1alpha1.FlowPaused,
	}.Asked(object)
	flow, ok := catalogue(object.Spec.Flow)
	if !ok {
		r.refuse("spec.flow", "%q: %w", object.Spec.Flow, ErrUnknownFlow)
	}
	spec.Flow = flow
	r.oneOf("spec.state", string(object.Spec.State), "", "Active", "Paused")
	r.oneOf("spec.migration.onFailure", string(object.Spec.Migration.OnFailure), "", "RollBack", "Hold")
	for i, w := range object.Spec.Migration.Windows {
		spec.Windows = append(spec.Windows, r.window(fmt.Sprintf("spec.migration.windows[%d]", i), w))
	}
	for i, s := range object.Spec.Migration.Steps {
		spec.Steps = append(spec.Steps, r.step(fmt.Sprintf("spec.migration.steps[%d]", i), s))
	}
	if len(r.errs) == 0 {
		r.add("spec.migration.steps", CheckSteps(spec.Steps, from))
		r.freshness(spec)
	}
	if len(r.errs) > 0 {
		return spec, errors.Join(r.errs...)
	}
	var err error
	spec.Hash, err = hash(spec.Steps)
	return spec, err
}

// reader gathers what is wrong.
type reader struct{ errs []error }

func (r *reader) refuse(path, format string, args ...any) {
	r.add(path, fmt.Errorf(format, args...))
}

func (r *reader) add(path string, err error) {
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("%s: %w", path, err))
	}
}

func (r *reader) oneOf(path, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	r.refuse(path, "%q: write one of %s", value, strings.Join(allowed[1:], ", "))
}

// freshness refuses what the consumer's measure can never tell: it measures by the
// flow's own objective.
func (r *reader) freshness(spec Spec) {
	for i, s := range spec.Steps {
		for j, g := range s.Gates {
			if g.Kind != Freshness {
				continue
			}
			cadence, err := flows.ParseCadence(s.Cadence)
			if err != nil {
				continue
			}
			if objective, ok := spec.Flow.ObjectiveAt(cadence); ok && g.Max < objective.Staleness {
				r.refuse(fmt.Sprintf("spec.migration.steps[%d].gates[%d].freshness.max", i, j),
					"at %s the flow is measured against %s: write no less than that", s.Cadence, objective.Staleness)
			}
		}
	}
}

func (r *reader) duration(path string, d v1alpha1.Duration) time.Duration {
	if d == "" {
		return 0
	}
	parsed, err := d.Parse()
	r.add(path, err)
	return parsed
}

func (r *reader) share(path string, p v1alpha1.Percent) float64 {
	if p == "" {
		return 1
	}
	percent, err := strconv.ParseFloat(string(p), 64)
	if err != nil || percent <= 0 || percent > 100 {
		r.refuse(path, "%q: write a number above 0 and up to 100, such as 99.9", p)
	}
	return percent / 100
}

func (r *reader) zone(path string, z v1alpha1.TimeZone) *time.Location {
	if z == "" {
		return time.UTC
	}
	zone, err := time.LoadLocation(string(z))
	if err != nil || z == "Local" {
		r.refuse(path, "%q: there is no such time zone: write a name of the IANA database such as Europe/Amsterdam", z)
		return time.UTC
	}
	return zone
}
