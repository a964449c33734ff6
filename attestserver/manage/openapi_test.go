package manage_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
)

// document reads the OpenAPI document as JSON, knowing nothing of huma.
func document(t testing.TB, r *rig) map[string]any {
	t.Helper()
	g := r.ask("", "GET", attestapi.PathOpenAPI, nil)
	if g.status != 200 || g.header.Get("Content-Type") != "application/openapi+json" {
		t.Fatalf("got %d, %s", g.status, g.header.Get("Content-Type"))
	}
	var d map[string]any
	if err := json.Unmarshal([]byte(g.body), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// documented are the methods and paths of the document, in order.
func documented(t testing.TB, r *rig) (all []string) {
	for path, item := range document(t, r)["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			all = append(all, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(all)
	return all
}

// TestTheDocument holds the document to OpenAPI 3.1.0 as far as it uses it, and to this API.
func TestTheDocument(t *testing.T) {
	d := document(t, newRig(t))
	if d["openapi"] != "3.1.0" || d["info"].(map[string]any)["title"] == "" || d["info"].(map[string]any)["version"] == "" {
		t.Errorf("got openapi %v, info %v", d["openapi"], d["info"])
	}
	components := d["components"].(map[string]any)
	schemes := components["securitySchemes"].(map[string]any)
	if s := schemes["managementToken"].(map[string]any); s["type"] != "http" || s["scheme"] != "bearer" {
		t.Errorf("got %v", s)
	}
	v := &reader{t: t, schemas: components["schemas"].(map[string]any), used: map[string]bool{}, ids: map[string]bool{}}
	codes := map[string]bool{}
	for path, item := range d["paths"].(map[string]any) {
		if !regexp.MustCompile(`^/mgmt/v1/[a-z./-]+$`).MatchString(path) {
			t.Errorf("path %q", path)
		}
		for method, op := range item.(map[string]any) {
			v.operation(strings.ToUpper(method)+" "+path, op.(map[string]any), codes)
		}
	}
	for name := range v.schemas {
		if !v.used[name] {
			t.Errorf("schema %s is used nowhere", name)
		}
	}
	for _, code := range []string{attestapi.CodeMalformed, attestapi.CodeInvalid, attestapi.CodeUnauthorized, attestapi.CodeForbidden, attestapi.CodeNotFound, attestapi.CodeConflict,
		attestapi.CodeStale, attestapi.CodeLimit, attestapi.CodeTooLarge, attestapi.CodeRateLimited, attestapi.CodeUnavailable, attestapi.CodeInternal, attestapi.CodeUnreachable} {
		if !codes[code] {
			t.Errorf("code %s is not documented", code)
		}
	}
	problem := v.schemas["Problem"].(map[string]any)["properties"].(map[string]any)
	if got := len(problem); got != reflect.TypeFor[attestapi.Problem]().NumField() {
		t.Errorf("got a problem of %d members: %v", got, problem)
	}
}

// reader reads a document part by part.
type reader struct {
	t       *testing.T
	schemas map[string]any
	used    map[string]bool
	ids     map[string]bool
}

func (v *reader) operation(name string, op map[string]any, codes map[string]bool) {
	v.members(name, op, "operationId", "summary", "description", "tags", "parameters", "requestBody", "responses", "security")
	id, _ := op["operationId"].(string)
	if id == "" || v.ids[id] || op["summary"] == "" {
		v.t.Errorf("%s: got operationId %q, once for each operation, and summary %v", name, id, op["summary"])
	}
	v.ids[id] = true
	parameters, _ := op["parameters"].([]any)
	seen := map[string]bool{}
	for _, p := range parameters {
		p := p.(map[string]any)
		v.members(name, p, "name", "in", "required", "description", "schema", "explode", "example")
		where := fmt.Sprint(p["in"], " ", p["name"])
		if (p["in"] != "query" && p["in"] != "header") || seen[where] {
			v.t.Errorf("%s: parameter %s", name, where)
		}
		seen[where] = true
		v.schema(name, p["schema"])
	}
	if seen["header If-Match"] != seen["query dry_run"] {
		v.t.Errorf("%s: got %v, want both If-Match and dry_run or none", name, seen)
	}
	if body, ok := op["requestBody"].(map[string]any); ok {
		v.content(name, body["content"], "application/json")
		if body["required"] != true || strings.HasPrefix(name, "GET") {
			v.t.Errorf("%s: body %v", name, body)
		}
	}
	responses := op["responses"].(map[string]any)
	for status, r := range responses {
		r := r.(map[string]any)
		v.members(name, r, "description", "content", "headers")
		if !regexp.MustCompile(`^[245][0-9][0-9]$`).MatchString(status) || r["description"] == "" {
			v.t.Errorf("%s: response %s: %v", name, status, r)
		}
		switch {
		case strings.HasSuffix(name, "openapi.json"):
		case status == "200":
			v.content(name, r["content"], "application/json")
			if _, ok := r["headers"].(map[string]any)["ETag"]; !ok {
				v.t.Errorf("%s: no ETag", name)
			}
		default:
			v.content(name, r["content"], "application/problem+json")
			for code := range strings.SplitSeq(regexp.MustCompile(`code (.*)$`).FindStringSubmatch(r["description"].(string))[1], " or ") {
				codes[code] = true
			}
		}
	}
	if responses["200"] == nil || len(responses) < 9 && !strings.HasSuffix(name, "openapi.json") {
		v.t.Errorf("%s: got %d responses", name, len(responses))
	}
}

func (v *reader) content(name string, content any, want string) {
	types, ok := content.(map[string]any)
	if !ok || len(types) != 1 || types[want] == nil {
		v.t.Errorf("%s: got content %v, want %s", name, content, want)
		return
	}
	v.schema(name, types[want].(map[string]any)["schema"])
}

// schema reads a schema, which must be of a known form, and all that it refers to.
func (v *reader) schema(name string, schema any) {
	s, ok := schema.(map[string]any)
	if !ok {
		v.t.Errorf("%s: %v is no schema", name, schema)
		return
	}
	if ref, ok := s["$ref"].(string); ok {
		to := strings.TrimPrefix(ref, "#/components/schemas/")
		if v.schemas[to] == nil {
			v.t.Errorf("%s: %s leads nowhere", name, ref)
		} else if !v.used[to] {
			v.used[to] = true
			v.schema(to, v.schemas[to])
		}
		return
	}
	v.members(name, s, "type", "format", "description", "properties", "required", "items", "additionalProperties", "contentEncoding", "minimum", "maximum", "default")
	kinds, ok := s["type"].([]any)
	if !ok {
		kinds = []any{s["type"]}
	}
	for _, kind := range kinds {
		if !slices.Contains([]any{"object", "array", "string", "integer", "boolean", "null"}, kind) {
			v.t.Errorf("%s: type %v", name, s["type"])
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for member, p := range properties {
		v.schema(name+"."+member, p)
	}
	required, _ := s["required"].([]any)
	for _, member := range required {
		if properties[member.(string)] == nil {
			v.t.Errorf("%s: requires %v, which it does not have", name, member)
		}
	}
	if items, ok := s["items"]; ok {
		v.schema(name+"[]", items)
	}
	if more, ok := s["additionalProperties"].(map[string]any); ok {
		v.schema(name+".*", more)
	}
}

func (v *reader) members(name string, object map[string]any, known ...string) {
	for member := range object {
		if !slices.Contains(known, member) {
			v.t.Errorf("%s: got %q, which OpenAPI does not have there or this API has no use for", name, member)
		}
	}
}
