// Package marketingv1 is the words of marketing support: its events and its API.
package marketingv1

import _ "embed"

// OpenAPI is the REST API's description, an OpenAPI 2.0 document in JSON. It is
// generated from api.proto and http.yaml.
//
//go:embed api.swagger.json
var OpenAPI []byte
