package apitest

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"trackerdcs/services/gateway/api"
	"trackerdcs/services/gateway/problem"
)

// Check reports how an answer is not as described. Path is that of the request,
// as it was written: with the prefix /api/v1, and with a query or without. An
// address that is not described must be answered 404, a method that is not 405,
// and both only to those who have come in: else 401.
func (s *Spec) Check(method, path string, status int, header http.Header, body []byte) error {
	if err := s.check(method, path, status, header, body); err != nil {
		return fmt.Errorf("%s %s: %d: %w", method, path, status, err)
	}
	return nil
}

func (s *Spec) check(method, path string, status int, header http.Header, body []byte) error {
	path, _, _ = strings.Cut(path, "?")
	if got := header.Get("Cache-Control"); got != "no-store" {
		return fmt.Errorf("the header Cache-Control is %q and not no-store", got)
	}
	if got := header.Get("X-Content-Type-Options"); got != "nosniff" {
		return fmt.Errorf("the header X-Content-Type-Options is %q and not nosniff", got)
	}
	if method == http.MethodHead {
		if len(body) > 0 {
			return fmt.Errorf("an answer to HEAD has a body: %.100q", body)
		}
		body = nil
	}
	rest, ours := strings.CutPrefix(path, api.Prefix)
	op, allowed := s.find(method, rest)
	switch {
	case !ours || allowed == nil:
		return s.checkOther(method, status, []int{http.StatusNotFound, http.StatusUnauthorized}, header, body)
	case op == nil:
		if status == http.StatusMethodNotAllowed && !slices.Contains(strings.Split(header.Get("Allow"), ", "), allowed[0]) {
			return fmt.Errorf("the header Allow is %q, and %v are described", header.Get("Allow"), allowed)
		}
		return s.checkOther(method, status, []int{http.StatusMethodNotAllowed, http.StatusUnauthorized}, header, body)
	}
	pointer := op.pointer + "/responses/" + strconv.Itoa(status)
	response := object(object(op.object, "responses"), strconv.Itoa(status))
	if response == nil {
		return fmt.Errorf("%s is not described with this status: %.200s", op.ID, body)
	}
	if ref, is := response["$ref"].(string); is {
		pointer, response = ref, s.at(ref)
	}
	return s.checkContent(method, status, pointer, response, header, body)
}

// checkOther checks answers to what is not described.
func (s *Spec) checkOther(method string, status int, want []int, header http.Header, body []byte) error {
	if !slices.Contains(want, status) {
		return fmt.Errorf("that is not described, and is to be answered with one of %v", want)
	}
	const ref = "#/components/responses/Problem"
	return s.checkContent(method, status, ref, s.at(ref), header, body)
}

func (s *Spec) checkContent(method string, status int, pointer string, response map[string]any, header http.Header, body []byte) error {
	content := object(response, "content")
	if len(content) == 0 {
		if len(body) > 0 {
			return fmt.Errorf("there is to be no body: %.100q", body)
		}
		return nil
	}
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("the header Content-Type is %q: %w", header.Get("Content-Type"), err)
	}
	as := kind
	if _, has := content[kind]; !has {
		if as = "*/*"; content[as] == nil {
			return fmt.Errorf("the header Content-Type is %q, which is not described", kind)
		}
	}
	if !strings.HasSuffix(as, "json") || method == http.MethodHead {
		return nil
	}
	if err := s.validate(pointer+"/content/"+escape(as)+"/schema", body); err != nil {
		return err
	}
	if kind == problem.ContentType && !strings.Contains(string(body), `"status":`+strconv.Itoa(status)) {
		return fmt.Errorf("the problem says another status: %s", body)
	}
	return nil
}

// CheckSchema reports how JSON is not as the schema of that name: Snapshot, or
// the name of an event in the stream.
func (s *Spec) CheckSchema(name string, body []byte) error {
	if object(object(s.doc, "components"), "schemas")[name] == nil {
		return fmt.Errorf("there is no schema %q", name)
	}
	if err := s.validate("#/components/schemas/"+escape(name), body); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// CheckBody reports how the body of a request is not as described.
func (s *Spec) CheckBody(method, path string, body []byte) error {
	path, _, _ = strings.Cut(path, "?")
	op, _ := s.find(method, strings.TrimPrefix(path, api.Prefix))
	if op == nil || op.object["requestBody"] == nil {
		return fmt.Errorf("%s %s: no body is described", method, path)
	}
	if err := s.validate(op.pointer+"/requestBody/content/application~1json/schema", body); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// at is what a reference within the description leads to.
func (s *Spec) at(ref string) map[string]any {
	levels := strings.Split(strings.TrimPrefix(ref, "#/"), "/")
	o := s.doc
	for _, level := range levels {
		level, err := url.PathUnescape(level)
		if err != nil {
			return nil
		}
		o = object(o, strings.NewReplacer("~1", "/", "~0", "~").Replace(level))
	}
	return o
}
