package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// unpack returns what is in a bundle, by name.
func unpack(t *testing.T, bundle []byte) map[string]string {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(bundle))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(zipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = string(text)
	}
}

func part(name, text string) Part {
	return Part{name, func(context.Context) ([]byte, error) { return []byte(text), nil }}
}

// Who helps from afar sees what was done, and that it was done by the same person, but
// not by whom, nor what that person wrote; nor the value of any setting.
func TestABundleNamesNobody(t *testing.T) {
	var out bytes.Buffer
	missing, err := Write(t.Context(), &out, "b", time.Unix(0, 0), []Part{
		part("flow.json", `{"history": [{"by": "ada@shop.example", "reason": "Mrs Jones called me"}, {"by": "triangle-operator", "reason": "gate lag failed"}, {"by": "ada"}]}`),
		part("kubernetes/flowapprovals.json", `{"items": [{"metadata": {"managedFields": [{"manager": "me"}], "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{ada}", "kept": "yes"}},
			"spec": {"approvedBy": "ada@shop.example", "reason": "fine", "step": "daily", "note": "metadata of ada"}, "status": {"message": "approved by ada@shop.example"}}]}`),
		part("kubernetes/pods.json", `{"containers": [{"env": [{"name": "TOKEN", "value": "hush"}, {"name": "URL", "valueFrom": {"secretKeyRef": {"name": "db"}}}]}]}`),
		part("metrics.txt", "up 1\n"),
	})
	if err != nil || len(missing) > 0 {
		t.Fatal(missing, err)
	}
	files := unpack(t, out.Bytes())
	whole := strings.Join([]string{files["b/flow.json"], files["b/kubernetes/flowapprovals.json"], files["b/kubernetes/pods.json"]}, "\n")
	for _, canary := range []string{"ada@", `"ada"`, "{ada}", "shop.example", "Jones", "fine", "hush", "manager", "last-applied"} {
		if strings.Contains(whole, canary) {
			t.Errorf("it tells %q:\n%s", canary, whole)
		}
	}
	for _, kept := range []string{`"reason": "gate lag failed"`, `"approved by person-`, `"step": "daily"`, `"note": "metadata of person-`, `"name": "db"`, `"kept": "yes"`, `"TOKEN"`} {
		if !strings.Contains(whole, kept) {
			t.Errorf("it lacks %s:\n%s", kept, whole)
		}
	}
	if files["b/metrics.txt"] != "up 1\n" {
		t.Errorf("the metrics are %q", files["b/metrics.txt"])
	}
}

// What can't be had holds nothing up: all else is there, and why it is not.
func TestABundleLacksWhatCanNotBeHad(t *testing.T) {
	var out bytes.Buffer
	missing, err := Write(t.Context(), &out, "b", time.Unix(0, 0), []Part{
		part("a.txt", "a"),
		{"b.json", func(context.Context) ([]byte, error) { return nil, errors.New("nobody is there") }},
		part("c.json", "{}"),
	})
	if err != nil || !cmp.Equal(missing, []string{"b.json"}) {
		t.Fatal(missing, err)
	}
	want := map[string]string{"b/a.txt": "a", "b/c.json": "{}\n", "b/missing.txt": "b.json: nobody is there\n"}
	if diff := cmp.Diff(want, unpack(t, out.Bytes())); diff != "" {
		t.Errorf("it holds (-want +got):\n%s", diff)
	}

	told, end := context.WithCancel(t.Context())
	end()
	if _, err := Write(told, io.Discard, "b", time.Unix(0, 0), []Part{part("a.txt", "a")}); !errors.Is(err, context.Canceled) {
		t.Errorf("told to end it returned %v", err)
	}
}
