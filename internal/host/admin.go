package host

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
)

// maxDocument bounds the content of a request to the admin interface, in bytes.
const maxDocument = 64 * 1024

// Admin is the admin interface of a gate: /control, /status and /report. Whoever reaches it can switch checks
// off, so it belongs on a unix socket that only the gate's user can open, or on a loopback address with a Token;
// its server's ConnContext should be WithPeer. Requests that a web page or a proxy could have sent are refused.
type Admin struct {
	Gate   Desk
	Report func(hours float64) any // of the last hours, 0: since the start; it may have a method Text() string; nil: there is none
	Ready  func() bool             // whether requests should come here; nil: Gate.Ready
	Token  *Token                  // what every request must bring; nil: nothing
	Log    *slog.Logger            // one line for each change, be it made or refused; nil: nowhere
	Now    func() time.Time        // the gate's clock; nil: time.Now
	Retry  time.Duration           // between attempts to keep a change that could not be written; 0: 5 s

	changing sync.Mutex // makes reading a version and replacing it one step
	saves    saver
}

// Run reads the policy's control.file before each change and writes it after, until ctx ends. What could not be
// written is tried again. Without it changes take seconds and are not kept.
func (a *Admin) Run(ctx context.Context) {
	a.saves.run(ctx, a.Gate, a.retry(), a.log())
}

func (a *Admin) retry() time.Duration {
	if a.Retry == 0 {
		return 5 * time.Second
	}
	return a.Retry
}

func (a *Admin) log() *slog.Logger {
	if a.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return a.Log
}

func (a *Admin) now() time.Time {
	if a.Now == nil {
		return time.Now()
	}
	return a.Now()
}

// reply is what a request gets: a value as JSON, a text, or problems.
type reply struct {
	status   int
	etag     string // empty: none
	value    any
	text     string           // in place of value
	problems []config.Problem // in place of both
	header   [2]string        // one more header: name and value
}

// refusal is a reply with one problem.
func refusal(status int, path, text string) reply {
	return reply{status: status, problems: []config.Problem{{Path: path, Text: text}}}
}

// resource is what stands at a path.
type resource struct {
	methods string // for Allow
	queries string // the one parameter it takes; empty: none
	serve   func(a *Admin, w http.ResponseWriter, r *http.Request) reply
}

// resources are all that there is.
var resources = map[string]resource{
	"/control": {"GET, HEAD, PUT, DELETE", "", (*Admin).control},
	"/status":  {"GET, HEAD", "", (*Admin).status},
	"/report":  {"GET, HEAD", "hours", (*Admin).report},
}

// ServeHTTP answers a request.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, refused := a.turnAway(r)
	found, exists := resources[r.URL.Path]
	if !refused {
		answer = found.serve(a, w, r)
	} else if exists && changes(r) {
		a.audit(r, &request{}, answer) // the others are told of where what they ask for is known
	}
	answer.write(w, r)
}

// changes reports whether a request is to change something.
func changes(r *http.Request) bool {
	return r.URL.Path == "/control" && (r.Method == http.MethodPut || r.Method == http.MethodDelete)
}

// turnAway refuses requests that are nobody's business to send, and those that nothing here answers.
func (a *Admin) turnAway(r *http.Request) (reply, bool) {
	if problem := foreign(r); problem != "" {
		return refusal(http.StatusForbidden, "", problem), true
	}
	if a.Token != nil && !a.Token.matches(r) {
		answer := refusal(http.StatusUnauthorized, "Authorization", "must be Bearer and the token of admin_token")
		answer.header = [2]string{"WWW-Authenticate", "Bearer"}
		return answer, true
	}
	found, exists := resources[r.URL.Path]
	if !exists {
		return refusal(http.StatusNotFound, "", "there is nothing here; ask for /control, /status or /report"), true
	}
	if !listed(found.methods, r.Method) {
		answer := refusal(http.StatusMethodNotAllowed, "", "use one of "+found.methods)
		answer.header = [2]string{"Allow", found.methods}
		return answer, true
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return refusal(http.StatusBadRequest, "", "the query cannot be read; write name=value"), true
	}
	for name, values := range query {
		if name != found.queries || len(values) > 1 {
			text := "takes no query; delete it"
			if found.queries != "" {
				text = "takes " + found.queries + " once, and no other parameter; delete the rest"
			}
			return refusal(http.StatusBadRequest, "", r.URL.Path+" "+text), true
		}
	}
	return reply{}, false
}

// listed reports whether a word is in a list with commas.
func listed(list, word string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(one) == word {
			return true
		}
	}
	return false
}

// problemJSON is a problem as the interface tells it.
type problemJSON struct {
	Path    string `json:"path"`
	Text    string `json:"text"`
	Warning bool   `json:"warning,omitempty"`
}

func problemsJSON(problems []config.Problem) []problemJSON {
	all := make([]problemJSON, 0, len(problems))
	for _, p := range problems {
		all = append(all, problemJSON(p))
	}
	return all
}

// write sends the reply. Problems are told as RFC 9457 has it, with what it calls extension members.
func (a reply) write(w http.ResponseWriter, r *http.Request) {
	kind, value := "application/json", a.value
	if a.problems != nil {
		kind = "application/problem+json"
		value = struct {
			Title    string        `json:"title"`
			Status   int           `json:"status"`
			Problems []problemJSON `json:"problems"`
		}{http.StatusText(a.status), a.status, problemsJSON(a.problems)}
	}
	body := []byte(a.text)
	if a.text != "" {
		kind = "text/plain; charset=utf-8"
	} else {
		text, err := json.MarshalIndent(value, "", "  ")
		if err != nil {
			refusal(http.StatusInternalServerError, "", "the answer cannot be written as JSON").write(w, r)
			return
		}
		body = append(text, '\n')
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if a.etag != "" {
		h.Set("ETag", a.etag)
	}
	if a.header[0] != "" {
		h.Set(a.header[0], a.header[1])
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(body) // a client that is gone cannot be told
}

// readDocument reads the content of a request as strict JSON. The second result is there if it cannot be used.
func readDocument(w http.ResponseWriter, r *http.Request) (map[string]any, *reply) {
	refuse := func(status int, path, text string) (map[string]any, *reply) {
		answer := refusal(status, path, text)
		return nil, &answer
	}
	if r.ContentLength == 0 && r.Method == http.MethodDelete {
		return map[string]any{}, nil
	}
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, named := parameters["charset"]
	if err != nil || kind != "application/json" || named && !strings.EqualFold(charset, "utf-8") {
		return refuse(http.StatusUnsupportedMediaType, "Content-Type", "must be application/json")
	}
	if r.Header.Get("Content-Encoding") != "" {
		return refuse(http.StatusUnsupportedMediaType, "Content-Encoding", "must not be there; send the document as it is")
	}
	if r.ContentLength > maxDocument {
		return refuse(http.StatusRequestEntityTooLarge, "", "the document has more than 64 KiB")
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDocument))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return refuse(http.StatusRequestEntityTooLarge, "", "the document has more than 64 KiB")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(http.StatusRequestTimeout, "", "the document did not come in time")
	case err != nil:
		return refuse(http.StatusBadRequest, "", "the document broke off")
	}
	tree, problems := gate.ParseJSON(text)
	if config.Failed(problems) {
		return nil, &reply{status: http.StatusBadRequest, problems: []config.Problem{{Text: "the document " + problems[0].Text}}}
	}
	return tree, nil
}
