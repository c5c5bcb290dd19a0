package charts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/triangle-suite/triangle/operator/config"
)

// Names are the charts'.
var Names = []string{"triangle-operator", "triangle"}

// boardsFolder is where the chart has its dashboards.
const boardsFolder = "triangle/files/dashboards"

// copied are the folders of operator/config that the operator's chart has a copy of.
var copied = []string{config.CRD, config.RBAC, config.Admission}

// Generate returns what the charts in a folder have to hold of other sources: by the
// path below the folder. A README is as it is there, but for its values.
func Generate(folder string) (map[string][]byte, error) {
	kinds, err := ReadKinds()
	if err != nil {
		return nil, err
	}
	made, err := copies()
	if err != nil {
		return nil, err
	}
	boards, err := dashboardFiles()
	if err != nil {
		return nil, err
	}
	for name, text := range boards {
		made[path.Join(boardsFolder, name)] = text
	}
	for _, name := range Names {
		if err := describe(made, folder, name, kinds); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return made, nil
}

// copies are the operator's manifests as they are. The chart's templates read them, and
// add what depends on a release: names, labels, and whether they stay when it goes.
func copies() (map[string][]byte, error) {
	made := map[string][]byte{}
	for _, from := range copied {
		files, err := fs.Glob(config.Files, path.Join(from, "*.yaml"))
		if err != nil || len(files) == 0 {
			return nil, errors.Join(fmt.Errorf("no manifests in %s", from), err)
		}
		for _, file := range files {
			text, err := fs.ReadFile(config.Files, file)
			if err != nil {
				return nil, err
			}
			made[path.Join("triangle-operator/files", file)] = text
		}
	}
	return made, nil
}

// describe adds a chart's schema and README.
func describe(made map[string][]byte, folder, name string, kinds Kinds) error {
	text, err := os.ReadFile(filepath.Join(folder, name, "values.yaml")) //nolint:gosec // the project's own file
	if err != nil {
		return err
	}
	values, err := Values(text)
	if err != nil {
		return err
	}
	schema, err := Schema(values, kinds)
	if err != nil {
		return err
	}
	readme, err := os.ReadFile(filepath.Join(folder, name, "README.md")) //nolint:gosec // the project's own file
	if err != nil {
		return err
	}
	if readme, err = Readme(readme, values); err != nil {
		return fmt.Errorf("README.md: %w", err)
	}
	made[name+"/values.schema.json"], made[name+"/README.md"] = schema, readme
	return nil
}

// Stale returns the files in a folder that are not what Generate makes, and those in
// the folders that it makes which it does not.
func Stale(folder string, all map[string][]byte) ([]string, error) {
	var stale []string
	for name, text := range all {
		is, err := os.ReadFile(filepath.Join(folder, name)) //nolint:gosec // the project's own file
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if string(is) != string(text) {
			stale = append(stale, name)
		}
	}
	folders := []string{boardsFolder}
	for _, from := range copied {
		folders = append(folders, path.Join("triangle-operator/files", from))
	}
	for _, made := range folders {
		there, err := filepath.Glob(filepath.Join(folder, made, "*"))
		if err != nil {
			return nil, err
		}
		for _, file := range there {
			name := path.Join(made, filepath.Base(file))
			if _, ours := all[name]; !ours {
				stale = append(stale, name)
			}
		}
	}
	return stale, nil
}
