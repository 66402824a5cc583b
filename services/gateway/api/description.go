package api

import (
	_ "embed"
	"net/http"
	"slices"
)

//go:embed openapi.yaml
var description []byte

// Description is openapi.yaml.
func Description() []byte { return slices.Clone(description) }

func serveDescription(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(description)
}
