package images

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// Bill writes the bill of materials of a binary, as CycloneDX in JSON: the modules
// that the Go linker says are in it, with their checksums, and the standard library.
func Bill(w io.Writer, name, version string, binary []byte) error {
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		return fmt.Errorf("read what %s was built of: %w", name, err)
	}
	main := cdx.Component{
		BOMRef: name, Type: cdx.ComponentTypeApplication, Name: name, Version: version,
		Licenses:           &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
		ExternalReferences: &[]cdx.ExternalReference{{Type: cdx.ERTypeVCS, URL: Source}},
	}
	components := materials(info)
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Component: &main}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: name, Dependencies: refs(components)}}
	encoder := cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON)
	encoder.SetPretty(true)
	return encoder.Encode(bom)
}

// materials are the modules in a binary, those that stand in for others by their own
// names. Ours are the project, not materials.
func materials(info *debug.BuildInfo) []cdx.Component {
	all := []cdx.Component{component("stdlib", strings.TrimPrefix(info.GoVersion, "go"), "")}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		if !strings.HasPrefix(module.Path, ".") && !strings.HasPrefix(module.Path, modulePrefix) {
			all = append(all, component(module.Path, module.Version, module.Sum))
		}
	}
	slices.SortFunc(all, func(one, other cdx.Component) int { return strings.Compare(one.BOMRef, other.BOMRef) })
	return all
}

func component(path, version, sum string) cdx.Component {
	url := "pkg:golang/" + path + "@" + version
	c := cdx.Component{BOMRef: url, Type: cdx.ComponentTypeLibrary, Name: path, Version: version, PackageURL: url}
	if sum != "" { // Go's own kind of checksum, of a module's files
		c.Properties = &[]cdx.Property{{Name: "go:sum", Value: sum}}
	}
	return c
}

func refs(components []cdx.Component) *[]string {
	var all []string
	for _, c := range components {
		all = append(all, c.BOMRef)
	}
	return &all
}
