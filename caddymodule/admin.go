package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

const adminPath = "/approov/"

// adminAPI is the gates' part of Caddy's admin endpoint: GET /approov/ lists the gates, and
// /approov/NAME/control, /approov/NAME/status and /approov/NAME/report are what the sidecar has at its admin socket.
// While there is one gate, its name may be left out.
type adminAPI struct{}

// CaddyModule describes it to Caddy.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.approov", New: func() caddy.Module { return new(adminAPI) }}
}

// Routes are the paths it answers.
func (adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminPath, Handler: caddy.AdminHandlerFunc(serveAdmin)}}
}

func serveAdmin(w http.ResponseWriter, r *http.Request) error {
	all := inUse()
	name, what := path.Split(strings.TrimPrefix(r.URL.Path, adminPath))
	if name == "" && what == "" {
		return listGates(w, r, all)
	}
	name = strings.TrimSuffix(name, "/")
	s := all[name]
	if name == "" && len(all) == 1 {
		s = all[names(all)[0]]
	}
	if s == nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("no gate is named %q; the gates are %q: ask %sNAME/%s", name, names(all), adminPath, what)}
	}
	asked := *r
	asked.URL = &url.URL{Path: "/" + what, RawQuery: r.URL.RawQuery}
	s.admin.ServeHTTP(w, &asked)
	return nil
}

// listGates answers with the names of the gates and the mode of each.
func listGates(w http.ResponseWriter, r *http.Request, all map[string]*station) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: fmt.Errorf("ask %sNAME/control to change a gate", adminPath)}
	}
	type entry struct {
		Name  string `json:"name"`
		Mode  string `json:"mode"` // for requests that no route matches
		Ready bool   `json:"ready"`
	}
	entries := []entry{}
	for _, name := range names(all) {
		entries = append(entries, entry{name, string(all[name].kin.Status().Mode), all[name].kin.Ready()})
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(map[string]any{"gates": entries})
}

var _ caddy.AdminRouter = (*adminAPI)(nil)
