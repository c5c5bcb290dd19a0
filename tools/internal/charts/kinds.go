package charts

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/triangle-suite/triangle/operator/config"
)

// Kinds are the schemas of the operator's kinds, by name.
type Kinds map[string]object

// ReadKinds reads them.
func ReadKinds() (Kinds, error) {
	files, err := fs.Glob(config.Files, path.Join(config.CRD, "*.yaml"))
	if err != nil {
		return nil, err
	}
	kinds := Kinds{}
	for _, file := range files {
		text, err := fs.ReadFile(config.Files, file)
		if err != nil {
			return nil, err
		}
		var kind struct {
			Spec struct {
				Names    struct{ Kind string }
				Versions []struct {
					Schema struct {
						OpenAPIV3Schema object `yaml:"openAPIV3Schema"`
					}
				}
			}
		}
		if err := yaml.Unmarshal(text, &kind); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		kinds[kind.Spec.Names.Kind] = kind.Spec.Versions[0].Schema.OpenAPIV3Schema
	}
	return kinds, nil
}

// field returns the schema of a field such as Triangle.spec.channel.env[].name, as
// JSON Schema that lets nothing in that is not there.
func (k Kinds) field(of string) (object, error) {
	kind, rest, _ := strings.Cut(of, ".")
	schema, ok := k[kind]
	if !ok {
		return nil, fmt.Errorf("like %s: there is no kind %s", of, kind)
	}
	for _, part := range strings.Split(rest, ".") {
		name, items := strings.CutSuffix(part, "[]")
		properties, _ := schema["properties"].(object)
		if schema, ok = properties[name].(object); !ok {
			return nil, fmt.Errorf("like %s: there is no %s", of, name)
		}
		if items {
			if schema, ok = schema["items"].(object); !ok {
				return nil, fmt.Errorf("like %s: %s is no list", of, name)
			}
		}
	}
	return strict(schema), nil
}

// strict is a kind's schema in JSON Schema's words. What it fills in is not said again:
// the API server does.
func strict(schema object) object {
	out := object{}
	for key, value := range schema {
		switch inner := value.(type) {
		case object:
			out[key] = strictWithin(key, inner)
		default:
			out[key] = value
		}
		if strings.HasPrefix(key, "x-kubernetes-") || key == "default" || key == "format" {
			delete(out, key)
		}
	}
	if properties, known := out["properties"].(object); known {
		maps.Copy(out, closed(properties))
	}
	return out
}

func strictWithin(key string, inner object) object {
	if key != "properties" {
		return strict(inner)
	}
	out := object{}
	for name, schema := range inner {
		if schema, ok := schema.(object); ok {
			out[name] = strict(schema)
		}
	}
	return out
}
