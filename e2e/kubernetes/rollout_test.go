package kubernetes

import (
	"encoding/json"
	"slices"
	"strings"
)

// areUpgraded brings in new images, and then a bad one of sales support, which starts
// and never gets ready: it is taken back by nobody's hand, stays on record, and all the
// while customers are registered by those that were there.
func (w *world) areUpgraded() {
	end := w.probe()
	w.goesOn(20)
	w.upgrade("--set", "image.tag="+the.images.next())
	w.until("all services on the new images", func() bool {
		for _, s := range w.services() {
			if !strings.HasSuffix(s.GoodImage, ":"+the.images.next()) {
				return false
			}
		}
		return true
	})
	w.wait("triangle/triangle", "condition=Ready")
	w.goesOn(20)

	before := w.pods("sales")
	w.upgrade("--set", "sales.image.tag="+the.images.broken())
	w.wait("triangle/triangle", "condition=Stalled")
	w.Logf("%s", w.condition("Stalled"))
	s := w.services()["sales"]
	if len(s.Failed) != 1 || !strings.HasSuffix(s.Failed[0].Image, ":"+the.images.broken()) || !strings.Contains(s.Failed[0].Reason, "was not ready within") {
		w.Errorf("on record as failed is %+v, want the bad image", s.Failed)
	}
	if !strings.HasSuffix(s.Image, ":"+the.images.next()) || s.Image != s.GoodImage {
		w.Errorf("%s serves, and the last good one is %s: want the image before the bad one", s.Image, s.GoodImage)
	}
	w.until("the bad pod is gone, and those that were there still are", func() bool {
		after := w.pods("sales")
		for _, pod := range before {
			if !slices.Contains(after, pod) {
				w.Fatalf("the pods of sales were %v and are %v, want the same ones", before, after)
			}
		}
		return len(after) == len(before)
	})
	w.wait("triangle/triangle", "condition=Ready")
	w.goesOn(20)
	end()
	w.allAreAccountedFor()
}

// serviceStatus is how a service stands, by its Triangle.
type serviceStatus struct {
	Name, Image, GoodImage string
	Failed                 []struct{ Image, Reason string }
}

func (w *world) services() map[string]serviceStatus {
	w.Helper()
	var t struct {
		Status struct{ Services []serviceStatus }
	}
	if err := json.Unmarshal([]byte(w.kubectl("get", "triangle", "triangle", "--output=json")), &t); err != nil {
		w.Fatal(err)
	}
	all := map[string]serviceStatus{}
	for _, s := range t.Status.Services {
		all[s.Name] = s
	}
	if len(all) != 3 {
		w.Fatalf("the Triangle tells of %v, want three services", all)
	}
	return all
}

// condition is what a condition of the Triangle says.
func (w *world) condition(kind string) string {
	w.Helper()
	return w.kubectl("get", "triangle", "triangle", `--output=jsonpath={.status.conditions[?(@.type=="`+kind+`")].message}`)
}
