// Package apitest holds answers of the gateway's API against its description,
// openapi.yaml, in tests of all kinds.
package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"trackerdcs/services/gateway/api"
)

// Spec is the description, checked and ready to be held against answers. It may
// be used by several goroutines at once.
type Spec struct {
	doc      map[string]any
	mu       sync.Mutex // of compiler
	compiler *jsonschema.Compiler
	ops      []Operation
}

// Operation is one of the description's.
type Operation struct {
	Method string
	Path   string // as in the description: without the prefix, with {names}
	ID     string
	Role   string // the least that may; empty: everybody

	pointer string // to it in the description
	object  map[string]any
	slashes bool // the last name may have slashes
}

// Load reads the description that is built into the gateway, and reports what
// is wrong with it.
func Load() (*Spec, error) { return parse(api.Description()) }

const base = "urn:trackerdcs:openapi"

func parse(text []byte) (*Spec, error) {
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, fmt.Errorf("the description is not YAML: %w", err)
	}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		return nil, fmt.Errorf("the description: %w", err)
	}
	doc, ok := root.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the description is no object")
	}
	s := &Spec{doc: doc, compiler: jsonschema.NewCompiler()}
	s.compiler.DefaultDraft(jsonschema.Draft2020)
	s.compiler.AssertFormat()
	if err := s.compiler.AddResource(base, root); err != nil {
		return nil, fmt.Errorf("the description: %w", err)
	}
	s.ops = operations(doc)
	return s, s.lint()
}

// Operations are all that are described.
func (s *Spec) Operations() []Operation { return slices.Clone(s.ops) }

// roleRE finds the least role in the description of an operation.
var roleRE = regexp.MustCompile("Role: `([a-z]+)`")

// anybody who has come in is at least this.
const anybody = "viewer"

var methods = []string{"get", "post", "put", "patch", "delete"}

func operations(doc map[string]any) []Operation {
	var found []Operation
	for path, item := range object(doc, "paths") {
		for _, method := range methods {
			op := object(asObject(item), method)
			if op == nil {
				continue
			}
			o := Operation{Method: strings.ToUpper(method), Path: path, Role: anybody, object: op, pointer: "#/paths/" + escape(path) + "/" + method}
			o.ID, _ = op["operationId"].(string)
			if text, _ := op["description"].(string); roleRE.MatchString(text) {
				o.Role = roleRE.FindStringSubmatch(text)[1]
			}
			if security, has := op["security"].([]any); has && len(security) == 0 {
				o.Role = ""
			}
			for _, p := range asList(op["parameters"]) {
				if asObject(p)["x-slashes"] == true {
					o.slashes = true
				}
			}
			found = append(found, o)
		}
	}
	slices.SortFunc(found, func(a, b Operation) int { return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method) })
	return found
}

// find is the operation of a request, and which methods its path has.
func (s *Spec) find(method, path string) (op *Operation, allowed []string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	best := -1
	for i, o := range s.ops {
		n, ok := o.matches(path)
		if !ok || n < best {
			continue
		}
		if n > best {
			best, op, allowed = n, nil, nil
		}
		allowed = append(allowed, o.Method)
		if o.Method == method {
			op = &s.ops[i]
		}
	}
	return op, allowed
}

// matches counts the levels that are literally the same.
func (o Operation) matches(path string) (literal int, ok bool) {
	want, got := strings.Split(o.Path, "/"), strings.Split(path, "/")
	if len(got) < len(want) || len(got) > len(want) && !o.slashes {
		return 0, false
	}
	for i, level := range want {
		switch {
		case level == got[i]:
			literal++
		case !strings.HasPrefix(level, "{") || got[i] == "":
			return 0, false
		}
	}
	return literal, true
}

func escape(s string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(s)
}

func asObject(v any) map[string]any { o, _ := v.(map[string]any); return o }

func asList(v any) []any { l, _ := v.([]any); return l }

func object(o map[string]any, key string) map[string]any { return asObject(o[key]) }

// validate holds JSON against the schema at a place of the description.
func (s *Spec) validate(pointer string, body []byte) error {
	s.mu.Lock()
	schema, err := s.compiler.Compile(base + pointer)
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("the description at %s: %w", pointer, err)
	}
	if !json.Valid(body) {
		return fmt.Errorf("not JSON: %.200q", body)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if err := schema.Validate(v); err != nil {
		return fmt.Errorf("%w in %.500s", err, body)
	}
	return nil
}
