// Package problem writes errors as problem details, RFC 9457.
package problem

import (
	"encoding/json"
	"maps"
	"net/http"
)

// ContentType is that of problem details.
const ContentType = "application/problem+json"

// Problem is one error. Detail says what is wrong and what to do about it.
type Problem struct {
	Status int
	Slug   string         // what the type's URN ends in: "out-of-range"
	Title  string         // empty for the status's own text
	Detail string         // for people
	More   map[string]any // extension members
}

// Write answers a request with p.
func Write(w http.ResponseWriter, p Problem) {
	body := map[string]any{}
	maps.Copy(body, p.More)
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	kind := "about:blank"
	if p.Slug != "" {
		kind = "urn:trackerdcs:problem:" + p.Slug
	}
	body["type"], body["title"], body["status"], body["detail"] = kind, p.Title, p.Status, p.Detail
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(body) // who has gone away learns nothing
}
