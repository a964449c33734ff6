package host

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
)

// statusJSON is what a gate does, and with what. It holds no secrets.
type statusJSON struct {
	Name    string       `json:"name"`
	Program string       `json:"program"`
	Ready   bool         `json:"ready"`
	Mode    string       `json:"mode"`
	Routes  []routeJSON  `json:"routes"`
	Control controlJSON  `json:"control"`
	Keys    []keyJSON    `json:"keys"`
	Sources []sourceJSON `json:"sources"`
	Config  configJSON   `json:"config"`
	Clock   string       `json:"clock"`
}

type routeJSON struct {
	Name    string `json:"name"` // empty: requests that no route matches
	Exempt  bool   `json:"exempt"`
	Mode    string `json:"mode"`
	Rollout int    `json:"rollout"`
	OwnMode string `json:"own_mode"`
	Says    string `json:"says"`
}

type keyJSON struct {
	Name            string `json:"name"`
	Kid             string `json:"kid"`
	Alg             string `json:"alg"`
	Usable          bool   `json:"usable"`
	NotBefore       string `json:"not_before,omitempty"`
	NotAfter        string `json:"not_after,omitempty"`
	Loaded          string `json:"loaded,omitempty"`
	Tokens          int64  `json:"tokens"`
	TokensPerMinute int64  `json:"tokens_per_minute"`
	LastUse         string `json:"last_use,omitempty"`
}

type sourceJSON struct {
	Name    string `json:"name"`
	Tried   string `json:"tried,omitempty"`
	Good    string `json:"good,omitempty"`
	Kept    bool   `json:"kept"`
	Failure string `json:"failure"`
	Tries   int64  `json:"tries"`
	Fails   int64  `json:"fails"`
}

type configJSON struct {
	Generation int           `json:"generation"`
	Loaded     string        `json:"loaded,omitempty"`
	Failing    bool          `json:"failing"`
	Problems   []problemJSON `json:"problems"`
}

// status serves /status.
func (a *Admin) status(http.ResponseWriter, *http.Request) reply {
	s := a.Gate.Status()
	ready := a.Gate.Ready
	if a.Ready != nil {
		ready = a.Ready
	}
	v := statusJSON{
		Name: s.Name, Program: Version(), Ready: ready(), Mode: string(s.Mode), Control: a.said(&s), Clock: rfc3339(a.now()),
		Routes: make([]routeJSON, 0, len(s.Routes)), Keys: make([]keyJSON, 0, len(s.Keys)), Sources: make([]sourceJSON, 0, len(s.Sources)),
		Config: configJSON{Generation: s.Generation, Loaded: rfc3339(s.Loaded), Failing: s.Failing, Problems: problemsJSON(a.problems(&s))},
	}
	for _, r := range s.Routes {
		v.Routes = append(v.Routes, routeJSON{r.Name, r.Exempt, string(r.Mode), r.Rollout, string(r.Own), r.Says})
	}
	for _, k := range s.Keys {
		v.Keys = append(v.Keys, keyJSON{k.Name, k.Kid, k.Alg, k.Usable, rfc3339(k.NotBefore), rfc3339(k.NotAfter), rfc3339(k.Loaded),
			k.Tokens, k.PerMinute, rfc3339(k.LastUse)})
	}
	for _, one := range s.Sources {
		v.Sources = append(v.Sources, sourceJSON{one.Name, rfc3339(one.Tried), rfc3339(one.Good), one.Kept, one.Failure, one.Tries, one.Fails})
	}
	return reply{status: http.StatusOK, value: v}
}

// problems are all that is wrong: with what the last refresh read, and with what keeps documents.
func (a *Admin) problems(s *gate.Status) []config.Problem {
	all := s.Problems
	for path, text := range map[string]string{"control.cache": s.KeepFailure, "control.file": a.saves.failing()} {
		if text != "" {
			all = append(all, config.Problem{Path: path, Text: text, Warning: true})
		}
	}
	if a.Token != nil && a.Token.Problem() != "" {
		all = append(all, config.Problem{Path: "admin_token", Text: a.Token.Problem() + "; the one before is in force", Warning: true})
	}
	return all
}

// longestReport is how far back a report may go, in hours.
const longestReport = 7 * 24

// report serves /report.
func (a *Admin) report(_ http.ResponseWriter, r *http.Request) reply {
	if a.Report == nil {
		return refusal(http.StatusNotFound, "", "this gate keeps no report")
	}
	hours := 0.0
	if text := r.URL.Query()["hours"]; len(text) == 1 {
		var err error
		if hours, err = strconv.ParseFloat(text[0], 64); err != nil || !(hours > 0 && hours <= longestReport) {
			return refusal(http.StatusBadRequest, "hours", "must be a number above 0, up to "+strconv.Itoa(longestReport)+"; without it the report begins at the start")
		}
	}
	made := a.Report(hours)
	if readable, ok := made.(interface{ Text() string }); ok && prefersText(r.Header["Accept"]) {
		return reply{status: http.StatusOK, text: readable.Text()}
	}
	return reply{status: http.StatusOK, value: made}
}

// prefersText reports whether a client asks for text/plain (RFC 9110 §12.5.1), and for JSON not before it.
func prefersText(accept []string) bool {
	for _, value := range accept {
		for one := range strings.SplitSeq(value, ",") {
			switch kind, _, _ := strings.Cut(one, ";"); strings.ToLower(strings.TrimSpace(kind)) {
			case "text/plain", "text/*":
				return true
			case "application/json", "application/*", "*/*":
				return false
			}
		}
	}
	return false
}
