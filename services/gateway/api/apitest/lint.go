package apitest

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// lint reports what is wrong with the description itself: what OpenAPI 3.1
// demands as far as it is used here, references that lead nowhere, schemas that
// are none, and what nobody uses.
func (s *Spec) lint() error {
	var errs []error
	fail := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if v, _ := s.doc["openapi"].(string); !strings.HasPrefix(v, "3.1.") {
		fail("openapi is %q and not 3.1", v)
	}
	info := object(s.doc, "info")
	if info["title"] == nil || info["version"] == nil {
		fail("info has no title or no version")
	}
	for key := range s.doc {
		if !slices.Contains([]string{"openapi", "info", "servers", "security", "tags", "paths", "components"}, key) {
			fail("%s is none of OpenAPI's keys", key)
		}
	}
	used := make(map[string]bool)
	s.walk("#", s.doc, func(pointer, key string, value any) {
		ref, is := value.(string)
		switch {
		case strings.Contains(key, " "):
			fail("%s has the key %q: is a text with a comma in it without quotes?", pointer, key)
		case is && key == "$ref":
			if used[ref] = true; s.at(ref) == nil {
				fail("%s: %s leads nowhere", pointer, ref)
			}
		}
	})
	components := object(s.doc, "components")
	for _, kind := range []string{"parameters", "responses"} {
		for name := range object(components, kind) {
			if ref := "#/components/" + kind + "/" + name; !used[ref] {
				fail("%s is not used", ref)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object(components, "schemas"))) {
		if _, err := s.compiler.Compile(base + "#/components/schemas/" + escape(name)); err != nil {
			fail("schema %s: %w", name, err)
		}
		if events := name[0] >= 'a' && name[0] <= 'z'; !events && !used["#/components/schemas/"+name] {
			fail("schema %s is not used", name)
		}
	}
	if len(s.ops) == 0 {
		fail("there are no operations")
	}
	ids := make(map[string]bool)
	for _, o := range s.ops {
		for _, err := range s.lintOperation(o) {
			fail("%s %s: %w", o.Method, o.Path, err)
		}
		if ids[o.ID] {
			fail("operationId %s stands twice", o.ID)
		}
		ids[o.ID] = true
	}
	return errors.Join(errs...)
}

// walk calls f for each key of each object.
func (s *Spec) walk(pointer string, v any, f func(pointer, key string, value any)) {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			f(pointer, key, inner)
			s.walk(pointer+"/"+escape(key), inner, f)
		}
	case []any:
		for i, inner := range v {
			s.walk(fmt.Sprintf("%s/%d", pointer, i), inner, f)
		}
	}
}

var (
	nameRE   = regexp.MustCompile(`\{([a-z]+)\}`)
	statusRE = regexp.MustCompile(`^[1-5][0-9][0-9]$`)
	inQuery  = []string{"query", "path"}
)

func (s *Spec) lintOperation(o Operation) (errs []error) {
	fail := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if o.ID == "" || o.object["summary"] == nil {
		fail("no operationId or no summary")
	}
	for _, tag := range asList(o.object["tags"]) {
		if !slices.ContainsFunc(asList(s.doc["tags"]), func(t any) bool { return asObject(t)["name"] == tag }) {
			fail("tag %v is not declared", tag)
		}
	}
	for _, one := range asList(o.object["security"]) {
		for scheme := range asObject(one) {
			if s.at("#/components/securitySchemes/"+scheme) == nil {
				fail("security scheme %s is not declared", scheme)
			}
		}
	}
	inPath := make(map[string]bool)
	for i, p := range asList(o.object["parameters"]) {
		param, pointer := asObject(p), fmt.Sprintf("%s/parameters/%d", o.pointer, i)
		if ref, is := param["$ref"].(string); is {
			param, pointer = s.at(ref), ref
		}
		name, _ := param["name"].(string)
		in, _ := param["in"].(string)
		if name == "" || !slices.Contains(inQuery, in) {
			fail("parameter %d has no name, or is in %q", i, in)
		}
		if in == "path" {
			inPath[name] = true
			if param["required"] != true {
				fail("parameter %s is in the path and not required", name)
			}
		}
		s.lintSchema(pointer+"/schema", fail)
	}
	for _, m := range nameRE.FindAllStringSubmatch(o.Path, -1) {
		if !inPath[m[1]] {
			fail("{%s} is not described", m[1])
		}
		delete(inPath, m[1])
	}
	for name := range inPath {
		fail("parameter %s is not in the path", name)
	}
	if body := object(o.object, "requestBody"); body != nil {
		s.lintContent(o.pointer+"/requestBody", body, fail)
	}
	responses := object(o.object, "responses")
	if len(responses) == 0 {
		fail("no responses")
	}
	for status := range responses {
		pointer, response := o.pointer+"/responses/"+status, object(responses, status)
		if ref, is := response["$ref"].(string); is {
			pointer, response = ref, s.at(ref)
		}
		if !statusRE.MatchString(status) || response["description"] == nil {
			fail("response %s is no status, or has no description", status)
		}
		s.lintContent(pointer, response, fail)
	}
	if _, has := responses["401"]; !has && o.Role != "" {
		fail("401 is not described")
	}
	return errs
}

func (s *Spec) lintContent(pointer string, of map[string]any, fail func(string, ...any)) {
	for kind := range object(of, "content") {
		s.lintSchema(pointer+"/content/"+escape(kind)+"/schema", fail)
	}
}

func (s *Spec) lintSchema(pointer string, fail func(string, ...any)) {
	if _, err := s.compiler.Compile(base + pointer); err != nil {
		fail("%s is no schema: %w", pointer, err)
	}
}
