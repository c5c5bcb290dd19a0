package apitest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/triangle-suite/triangle/operator/config"
)

// Manifests reads the manifests of a folder of operator/config, or of one file
// there, each as it was written.
func Manifests(name string) ([]*unstructured.Unstructured, error) {
	files := []string{name}
	if path.Ext(name) == "" {
		var err error
		if files, err = fs.Glob(config.Files, path.Join(name, "*.yaml")); err != nil || len(files) == 0 {
			return nil, errors.Join(fmt.Errorf("no manifests in %s", name), err)
		}
	}
	var all []*unstructured.Unstructured
	for _, file := range files {
		text, err := fs.ReadFile(config.Files, file)
		if err != nil {
			return nil, fmt.Errorf("read manifests: %w", err)
		}
		objects, err := Decode(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, objects...)
	}
	return all, nil
}

// Decode reads manifests, each as it was written.
func Decode(text []byte) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	var all []*unstructured.Unstructured
	for {
		o := &unstructured.Unstructured{}
		switch err := decoder.Decode(&o.Object); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		case len(o.Object) > 0: // not a document of comments
			all = append(all, o)
		}
	}
}

// typed reads the manifests of a folder as T.
func typed[T any](folder string) ([]*T, error) {
	objects, err := Manifests(folder)
	if err != nil {
		return nil, err
	}
	var all []*T
	for _, o := range objects {
		var one T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &one, true); err != nil {
			return nil, fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err)
		}
		all = append(all, &one)
	}
	return all, nil
}
