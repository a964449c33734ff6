package manage

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

// bodyTimeout bounds how long a client may take to send its request.
const bodyTimeout = 30 * time.Second

// config is huma's configuration: JSON only, no pages, no links to schemas.
func (a *API) config() huma.Config {
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}
	c := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Management of the attestation service", Version: "1",
				Description: "Everything the command line tool approov does. Errors are problems (RFC 9457) with a code that never changes " +
					"and a rid that names the request in the service's log.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"managementToken": {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "A management token of the account."},
				},
			},
			Security: []map[string][]string{{"managementToken": {}}},
		},
		Formats:       map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{a.asProblem},
	}
	c.RejectUnknownQueryParameters = true
	return c
}

// unmarshal is encoding/json, which would put another character in the place of what is not UTF-8. Its errors repeat
// nothing of the text but a character or a number.
func unmarshal(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("the request is not UTF-8")
	}
	return json.Unmarshal(data, v)
}

// endpoint is what an operation says of itself.
type endpoint struct {
	method, path string
	right        account.Operation // which a role needs to be heard at all
	summary      string
}

// codes are the codes of problems by the statuses they come with, as every operation may answer them.
var codes = map[int][]string{
	http.StatusBadRequest:            {attestapi.CodeMalformed},
	http.StatusUnauthorized:          {attestapi.CodeUnauthorized},
	http.StatusForbidden:             {attestapi.CodeForbidden},
	http.StatusNotFound:              {attestapi.CodeNotFound},
	http.StatusConflict:              {attestapi.CodeConflict, attestapi.CodeLimit},
	http.StatusPreconditionFailed:    {attestapi.CodeStale},
	http.StatusRequestEntityTooLarge: {attestapi.CodeTooLarge},
	http.StatusUnsupportedMediaType:  {attestapi.CodeMalformed},
	http.StatusUnprocessableEntity:   {attestapi.CodeInvalid},
	http.StatusTooManyRequests:       {attestapi.CodeRateLimited},
	http.StatusInternalServerError:   {attestapi.CodeInternal},
	http.StatusBadGateway:            {attestapi.CodeUnreachable},
	http.StatusServiceUnavailable:    {attestapi.CodeUnavailable},
}

// lookStatus is one that only those answer who look at a domain.
const lookStatus = http.StatusBadGateway

// register adds an endpoint to the API, its document and the table of rights.
func register[I, O any](a *API, api huma.API, e endpoint, handler func(context.Context, *I) (*O, error)) {
	if a.rights[e.path] == nil {
		a.rights[e.path] = map[string]account.Operation{}
	}
	a.rights[e.path][e.method] = e.right
	registry := api.OpenAPI().Components.Schemas
	schema := registry.Schema(reflect.TypeFor[attestapi.Problem](), true, "Problem")
	responses := map[string]*huma.Response{}
	add := func(status int) {
		r := &huma.Response{
			Description: http.StatusText(status) + ", code " + strings.Join(codes[status], " or "),
			Content:     map[string]*huma.MediaType{problemType: {Schema: schema}},
		}
		if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
			r.Headers = map[string]*huma.Param{"Retry-After": {Description: "Seconds to wait.", Schema: &huma.Schema{Type: "integer"}}}
		}
		responses[strconv.Itoa(status)] = r
	}
	if e.method == http.MethodGet { // which changes nothing
		for _, status := range []int{400, 401, 403, 404, 422, 429, 500, 503} {
			add(status)
		}
	} else {
		for status := range codes {
			if status != lookStatus {
				add(status)
			}
		}
	}
	if e.path == attestapi.PathPins {
		add(lookStatus)
	}
	huma.Register(api, huma.Operation{
		Method: e.method, Path: e.path, OperationID: operationID(e), Summary: e.summary,
		Tags: []string{strings.Split(strings.TrimPrefix(e.path, attestapi.PathManage+"/"), "/")[0]},
		// The bound is the first length that is too large.
		MaxBodyBytes: attestapi.MaxManageRequest + 1, BodyReadTimeout: bodyTimeout, Responses: responses,
	}, handler)
}

// operationID is the method and the path as one word: get-sdk-library.
func operationID(e endpoint) string {
	path := strings.TrimPrefix(e.path, attestapi.PathManage+"/")
	return strings.ToLower(e.method) + "-" + strings.ReplaceAll(path, "/", "-")
}

// document is the OpenAPI document, once every endpoint is registered.
func document(api huma.API) []byte {
	d := api.OpenAPI()
	for _, unused := range []string{"ErrorModel", "ErrorDetail"} { // huma's own form of errors, which nobody gets
		delete(d.Components.Schemas.Map(), unused)
	}
	d.Paths[attestapi.PathOpenAPI] = &huma.PathItem{Get: &huma.Operation{
		OperationID: "get-openapi", Summary: "This document, without a token", Tags: []string{"openapi"}, Security: []map[string][]string{{}},
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{"application/openapi+json": {Schema: &huma.Schema{Type: "object"}}}}},
	}}
	text, err := json.Marshal(d)
	if err != nil {
		panic("manage: " + err.Error()) // it is the same at every start, and tested
	}
	return text
}
