package apitest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/services/gateway/api"
)

func loaded(t *testing.T) *Spec {
	t.Helper()
	s, err := Load()
	require.NoError(t, err)
	return s
}

func TestOperations(t *testing.T) {
	roles := make(map[string]string)
	for _, o := range loaded(t).Operations() {
		roles[o.ID] = o.Role
	}
	for id, want := range map[string]string{"login": "", "openapi": "", "me": "viewer", "devices": "viewer", "command": "operator", "startRun": "expert", "audit": "operator"} {
		assert.Equal(t, want, roles[id], id)
	}
}

// What is wrong with a description is found, so that a good one says something.
func TestLint(t *testing.T) {
	good := string(api.Description())
	for name, tt := range map[string]struct{ old, new, want string }{
		"version":        {"openapi: 3.1.0", "openapi: 3.0.0", "not 3.1"},
		"a lost ref":     {`{$ref: "#/components/responses/TooMany"}`, `{$ref: "#/components/responses/Many"}`, "leads nowhere"},
		"an unused one":  {"  schemas:\n", "  schemas:\n    Lost: {type: object}\n", "schema Lost is not used"},
		"no schema":      {"  schemas:\n", "  schemas:\n    bad: {type: objects}\n", "schema bad"},
		"path parameter": {"  /devices/{device}:", "  /devices/{name}:", "{name} is not described"},
		"twice":          {"operationId: devices", "operationId: device", "stands twice"},
		"a torn text":    {`description: "What is now, and commands"`, "description: What is now, and commands", "without quotes"},
		"tag":            {"tags: [history]", "tags: [past]", "tag past"},
		"scheme":         {"security: [{session: []}]", "security: [{cookie: []}]", "scheme cookie"},
		"no YAML":        {"openapi: 3.1.0", "openapi: [", "not YAML"},
		"a list":         {good, "[]", "no object"},
	} {
		require.Contains(t, good, tt.old, name)
		_, err := parse([]byte(strings.Replace(good, tt.old, tt.new, 1)))
		require.ErrorContains(t, err, tt.want, name)
	}
}

func TestCheck(t *testing.T) {
	s := loaded(t)
	header := func(kind string, more ...string) http.Header {
		h := http.Header{"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}, "Content-Type": {kind}}
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	const js, pr = "application/json", "application/problem+json"
	const problem404 = `{"type":"about:blank","title":"x","status":404,"detail":"y"}`
	for name, tt := range map[string]struct {
		method, path string
		status       int
		header       http.Header
		body, want   string // nothing: it is as described
	}{
		"good":             {"GET", "/api/v1/configurations", 200, header(js), `{"configurations":[{"name":"a","time":"2026-11-20T12:00:00Z","configuration":{}}]}`, ""},
		"query":            {"GET", "/api/v1/runs?limit=1", 200, header(js), `{"runs":[]}`, ""},
		"HEAD":             {"HEAD", "/api/v1/configurations", 200, header(js), ``, ""},
		"HEAD with a body": {"HEAD", "/api/v1/configurations", 200, header(js), `{}`, "has a body"},
		"a file":           {"GET", "/api/v1/runs/1/files/a/b.csv", 200, header("text/csv"), "a,b", ""},
		"no body":          {"POST", "/api/v1/logout", 204, header(""), ``, ""},
		"a body":           {"POST", "/api/v1/logout", 204, header(""), `x`, "no body"},
		"unknown":          {"GET", "/api/v1/nothing", 404, header(pr), problem404, ""},
		"unknown, found":   {"GET", "/api/v1/nothing", 200, header(js), `{}`, "not described"},
		"method":           {"DELETE", "/api/v1/runs", 405, header(pr, "Allow", "GET, HEAD, POST"), strings.ReplaceAll(problem404, "404", "405"), ""},
		"method, no Allow": {"DELETE", "/api/v1/runs", 405, header(pr), strings.ReplaceAll(problem404, "404", "405"), "Allow"},
		"status":           {"GET", "/api/v1/runs", 418, header(js), `{}`, "runs is not described"},
		"schema":           {"GET", "/api/v1/configurations", 200, header(js), `{"configurations":[{}]}`, "name"},
		"no JSON":          {"GET", "/api/v1/configurations", 200, header(js), `{`, "not JSON"},
		"kind":             {"GET", "/api/v1/configurations", 200, header("text/html"), `{}`, "which is not described"},
		"no kind":          {"GET", "/api/v1/configurations", 200, header(""), `{}`, "Content-Type"},
		"other status":     {"GET", "/api/v1/runs/1", 404, header(pr), strings.ReplaceAll(problem404, "404", "400"), "another status"},
		"cached":           {"GET", "/api/v1/runs", 200, http.Header{}, `{}`, "Cache-Control"},
		"sniffed":          {"GET", "/api/v1/runs", 200, http.Header{"Cache-Control": {"no-store"}}, `{}`, "nosniff"},
	} {
		err := s.Check(tt.method, tt.path, tt.status, tt.header, []byte(tt.body))
		if tt.want == "" {
			assert.NoError(t, err, name)
		} else {
			assert.ErrorContains(t, err, tt.want, name)
		}
	}
}

func TestCheckSchemaAndBody(t *testing.T) {
	s := loaded(t)
	assert.NoError(t, s.CheckSchema("bye", []byte(`{"reason":"x"}`)))
	assert.ErrorContains(t, s.CheckSchema("bye", []byte(`{}`)), "reason")
	assert.ErrorContains(t, s.CheckSchema("hi", []byte(`{}`)), "no schema")
	assert.NoError(t, s.CheckBody("POST", "/api/v1/devices/hv/commands", []byte(`{"op":"setv","channel":0,"value":1}`)))
	assert.ErrorContains(t, s.CheckBody("POST", "/api/v1/devices/hv/commands", []byte(`{"op":"setv","drry":true}`)), "drry")
	assert.ErrorContains(t, s.CheckBody("GET", "/api/v1/devices", nil), "no body is described")
}
