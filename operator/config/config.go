// Package config holds what is applied to a cluster: the kinds, who may do what
// with them, what is admitted, and examples.
package config

import "embed"

// The folders of Files.
const (
	CRD       = "crd"       // the kinds; generated from operator/api
	RBAC      = "rbac"      // who may do what
	Admission = "admission" // what is admitted, and depends on who asks
	Samples   = "samples"   // examples
)

// Files are the manifests, in YAML.
//
//go:embed crd rbac admission samples
var Files embed.FS
