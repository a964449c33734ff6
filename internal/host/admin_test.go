package host

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
)

func TestRequestsFromElsewhere(t *testing.T) {
	d := newDesk(t, adminPolicy)
	for _, row := range []struct {
		lines []string
		taken bool
	}{
		{[]string{"Host: approovgate"}, true},
		{[]string{"Host: APPROOVGATE:80"}, true},
		{[]string{"Host: localhost"}, true},
		{[]string{"Host: localhost:9903"}, true},
		{[]string{"Host: 127.0.0.1:9903"}, true},
		{[]string{"Host: 127.8.9.10"}, true},
		{[]string{"Host: [::1]:9903"}, true},
		{[]string{"Host: [::1]"}, true},
		{[]string{"Host: [::ffff:127.0.0.1]:1"}, true},
		{[]string{"Host: evil.example"}, false},
		{[]string{"Host: evil.example:9903"}, false},
		{[]string{"Host: "}, false},
		{[]string{"Host: :9903"}, false},
		{[]string{"Host: localhost.evil.example"}, false},
		{[]string{"Host: localhost."}, false},
		{[]string{"Host: 127.0.0.1.evil.example"}, false},
		{[]string{"Host: 127.0.0.1:evil"}, false},
		{[]string{"Host: 127.0.0.1:99999"}, false},
		{[]string{"Host: localhost@evil.example"}, false},
		{[]string{"Host: user@localhost"}, false},
		{[]string{"Host: 0.0.0.0:9903"}, false},
		{[]string{"Host: [::]:9903"}, false},
		{[]string{"Host: 10.0.0.1"}, false},
		{[]string{"Host: 2130706433"}, false},
		{[]string{"Host: 127.1"}, false},
		{[]string{"Host: [::1"}, false},
		{[]string{"Host: approovgate.evil.example"}, false},
		{[]string{"Origin: http://localhost:9903"}, false},
		{[]string{"Origin: null"}, false},
		{[]string{"Origin: https://evil.example"}, false},
		{[]string{"Sec-Fetch-Site: none"}, true},
		{[]string{"Sec-Fetch-Site: same-origin"}, true},
		{[]string{"Sec-Fetch-Site: same-site"}, false},
		{[]string{"Sec-Fetch-Site: cross-site"}, false},
		{[]string{"Sec-Fetch-Site: None"}, false},
		{[]string{"Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"}, false},
		{[]string{"X-Forwarded-For: 203.0.113.7"}, false},
		{[]string{"Forwarded: for=203.0.113.7"}, false},
		{[]string{"Via: 1.1 proxy"}, false},
	} {
		for _, path := range []string{"/control", "/status", "/report", "/nowhere"} {
			a := d.ask("GET", path, "", row.lines...)
			if taken := a.status != http.StatusForbidden; taken != row.taken {
				t.Errorf("%v %s: got %d %s, want it taken: %t", row.lines, path, a.status, a.text, row.taken)
			}
		}
		if !row.taken {
			a := d.ask("PUT", "/control", `{"mode": "bypass", "for": "1m"}`, row.lines...)
			if a.status != http.StatusForbidden || d.Gate.Control(gate.Local).Version != 0 {
				t.Errorf("PUT with %v: got %d, version %d; want 403 and no change", row.lines, a.status, d.Gate.Control(gate.Local).Version)
			}
		}
	}
	// An absolute-form target names the host, whatever the Host header says (RFC 9112 §3.2.2).
	r := httptest.NewRequest("GET", "http://evil.example/control", nil)
	if a := d.serve(r); a.status != http.StatusForbidden {
		t.Errorf("a target with another host: got %d, want 403", a.status)
	}
}

func TestMethods(t *testing.T) {
	d := newDesk(t, adminPolicy, func(a *Admin) { a.Report = func(float64) any { return sampleReport{} } })
	for path, allow := range map[string]string{"/control": "GET, HEAD, PUT, DELETE", "/status": "GET, HEAD", "/report": "GET, HEAD"} {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "PRI", "MKCOL"} {
			r := hosted(httptest.NewRequest("GET", path, nil))
			r.Method = method
			a := d.serve(r)
			allowed := slices.Contains(strings.Split(allow, ", "), method)
			if refused := a.status == http.StatusMethodNotAllowed; refused == allowed || refused && a.header.Get("Allow") != allow {
				t.Errorf("%s %s: got %d with Allow %q, want it allowed: %t, and else Allow %q", method, path, a.status, a.header.Get("Allow"), allowed, allow)
			}
		}
	}
	for _, path := range []string{"/", "/Control", "/control/", "//control", "/control/x", "/status.json", "/metrics", "/live", "/ready", "/debug/pprof/", "/control%00", "/config", "*"} {
		r := hosted(httptest.NewRequest("GET", "/", nil))
		r.URL.Path = strings.ReplaceAll(path, "%00", "\x00")
		if a := d.serve(r); a.status != http.StatusNotFound {
			t.Errorf("GET %s: got %d, want 404", path, a.status)
		}
	}
	for _, target := range []string{"/control?x", "/control?version=1", "/status?hours=1", "/report?hours=1&hours=2", "/report?hour=1", "/report?%zz", "/report?hours=1;x=2"} {
		if a := d.ask("GET", target, ""); a.status != http.StatusBadRequest {
			t.Errorf("GET %s: got %d, want 400", target, a.status)
		}
	}
}

func hosted(r *http.Request) *http.Request {
	r.Host = "approovgate"
	return r
}

func TestToken(t *testing.T) {
	const right, next = "0123456789abcdef0123456789abcdef", "another-token-0123456789abcdef"
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) { do(t, os.WriteFile(path, []byte(text), 0o600)) }
	write(right + "\n")
	token := NewToken("file:" + path)
	if _, err := token.Refresh(); err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, adminPolicy, func(a *Admin) { a.Token = token })
	status := func(lines ...string) int { return d.ask("GET", "/status", "", lines...).status }
	for _, row := range []struct {
		name  string
		lines []string
		want  int
	}{
		{"the token", []string{"Authorization: Bearer " + right}, 200},
		{"the token, the scheme in another case", []string{"Authorization: bEARER " + right}, 200},
		{"no token", nil, 401},
		{"another", []string{"Authorization: Bearer " + next}, 401},
		{"the beginning of it", []string{"Authorization: Bearer " + right[:31]}, 401},
		{"more than it", []string{"Authorization: Bearer " + right + "0"}, 401},
		{"it in another case", []string{"Authorization: Bearer " + strings.ToUpper(right)}, 401},
		{"nothing behind the scheme", []string{"Authorization: Bearer"}, 401},
		{"no scheme", []string{"Authorization: " + right}, 401},
		{"another scheme", []string{"Authorization: Basic " + right}, 401},
		{"twice", []string{"Authorization: Bearer " + right, "Authorization: Bearer " + right}, 401},
	} {
		if got := status(row.lines...); got != row.want {
			t.Errorf("%s: got %d, want %d", row.name, got, row.want)
		}
	}
	if a := d.ask("GET", "/nowhere", ""); a.status != 401 || a.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("a path that is not there, without token: got %d %v, want 401, which tells nothing", a.status, a.header)
	}
	if a := d.ask("PUT", "/control", `{"mode": "bypass", "for": "1m"}`); a.status != 401 || d.Gate.Control(gate.Local).Version != 0 {
		t.Errorf("a change without token: got %d, want 401 and no change", a.status)
	}
	write(next)
	if old, new := status("Authorization: Bearer "+right), status("Authorization: Bearer "+next); old != 401 || new != 200 {
		t.Errorf("after the token was replaced: got %d for the old and %d for the new one, want 401 and 200", old, new)
	}
	for _, row := range []struct{ text, problem string }{
		{"short", "has 5 bytes, at least 16 are needed"}, {"", "is empty"}, {"two words, each of them long enough", "must be one word"},
		{"0123456789abcdef\n0123456789abcdef\n", "must be one word"}, {"0123456789abcdefü", "must be one word"},
	} {
		write(row.text)
		a := d.ask("GET", "/status", "", "Authorization: Bearer "+next)
		if a.status != 200 || !strings.Contains(a.text, `"path": "admin_token"`) || !strings.Contains(a.text, row.problem) {
			t.Errorf("%q as token: got %d %s, want the last good one in force and the problem in the status", row.text, a.status, a.text)
		}
		if _, err := token.Refresh(); err == nil || strings.Contains(err.Error(), "0123456789abcdef") {
			t.Errorf("%q as token: got %v, want an error that does not repeat it", row.text, err)
		}
	}
	do(t, os.Remove(path))
	if got := status("Authorization: Bearer " + next); got != 200 {
		t.Errorf("after the file was deleted: got %d, want the last good token in force", got)
	}
	if got := fmt.Sprintf("%#v %+v", token, token); strings.Contains(got, next) {
		t.Errorf("printed: got %s, want no token", got)
	}
	if a := newDesk(t, adminPolicy, func(a *Admin) { a.Token = NewToken("file:" + path) }).ask("GET", "/status", "", "Authorization: Bearer "); a.status != 401 {
		t.Errorf("a token that was never there: got %d, want 401", a.status)
	}
}

func TestReport(t *testing.T) {
	d := newDesk(t, adminPolicy, func(a *Admin) { a.Report = func(hours float64) any { return sampleReport{hours} } })
	for _, row := range []struct {
		target, accept string
		status         int
		text           string
	}{
		{"/report", "", 200, "{\n  \"Hours\": 0\n}\n"},
		{"/report?hours=24", "", 200, "{\n  \"Hours\": 24\n}\n"},
		{"/report?hours=0.5", "application/json, text/plain", 200, "{\n  \"Hours\": 0.5\n}\n"},
		{"/report?hours=168", "text/plain", 200, "168 hours\n"},
		{"/report", "Text/Plain;q=0.9, application/json", 200, "0 hours\n"},
		{"/report", "*/*", 200, "{\n  \"Hours\": 0\n}\n"},
		{"/report?hours=0", "", 400, "hours: must be a number above 0"},
		{"/report?hours=-1", "", 400, "hours: must be"},
		{"/report?hours=169", "", 400, "up to 168"},
		{"/report?hours=NaN", "", 400, "hours: must be"},
		{"/report?hours=Inf", "", 400, "hours: must be"},
		{"/report?hours=a", "", 400, "hours: must be"},
		{"/report?hours=", "", 400, "hours: must be"},
	} {
		a := d.ask("GET", row.target, "", "Accept: "+row.accept)
		if a.status != row.status || a.status == 200 && a.text != row.text || a.status != 200 && !strings.Contains(a.problem(), row.text) {
			t.Errorf("%s for %q: got %d %q, want %d %q", row.target, row.accept, a.status, a.text, row.status, row.text)
		}
		if kind := a.header.Get("Content-Type"); strings.HasSuffix(row.text, "hours\n") != (kind == "text/plain; charset=utf-8") {
			t.Errorf("%s for %q: got %s", row.target, row.accept, kind)
		}
	}
	if a := newDesk(t, adminPolicy).ask("GET", "/report", ""); a.status != 404 {
		t.Errorf("a gate without one: got %d, want 404", a.status)
	}
	bad := newDesk(t, adminPolicy, func(a *Admin) { a.Report = func(float64) any { return func() {} } })
	if a := bad.ask("GET", "/report", ""); a.status != 500 {
		t.Errorf("a report that is no JSON: got %d, want 500", a.status)
	}
}

type sampleReport struct{ Hours float64 }

func (r sampleReport) Text() string { return fmt.Sprint(r.Hours, " hours\n") }

func TestStatus(t *testing.T) {
	d := newDesk(t, adminPolicy)
	d.put(`{"mode": "bypass", "for": "15m"}`)
	var got map[string]any
	if err := json.Unmarshal([]byte(d.ask("GET", "/status", "").text), &got); err != nil {
		t.Fatal(err)
	}
	route := func(name, mode, own, says string) map[string]any {
		return map[string]any{"name": name, "exempt": name == "health", "mode": mode, "rollout": 100.0, "own_mode": own, "says": says}
	}
	at := noon.Format(time.RFC3339)
	want := map[string]any{
		"name": "edge", "program": Version(), "ready": true, "mode": "bypass", "clock": at,
		"routes": []any{route("transfers", "bypass", "enforce", "local"), route("feed", "bypass", "log", "local"),
			route("health", "enforce", "enforce", "policy"), route("", "bypass", "enforce", "local")},
		"control": map[string]any{"in_force": "local",
			"local": map[string]any{"version": 1.0, "mode": "bypass", "until": "2030-01-31T12:15:00Z", "in_force": true}},
		"keys":    []any{map[string]any{"name": "account", "kid": "", "alg": "HS256", "usable": true, "loaded": at, "tokens": 0.0, "tokens_per_minute": 0.0}},
		"sources": []any{},
		"config":  map[string]any{"generation": 1.0, "loaded": at, "failing": false, "problems": []any{}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
	d.Ready = func() bool { return false }
	do(t, os.WriteFile(filepath.Join(d.dir, "account.secret"), []byte("YWJj"), 0o600))
	d.loader.Refresh(d.own)
	text := d.ask("GET", "/status", "").text
	for _, want := range []string{`"ready": false`, `"failing": true`, `"path": "keys[0].secret"`, "weak: 3 bytes"} {
		if !strings.Contains(text, want) {
			t.Errorf("a gate whose secret was broken: got %s, want %s in it", text, want)
		}
	}
}

// Everything that may be secret has been given to the gate; none of it may be in what the interface says.
func TestNothingSecretIsInAnAnswer(t *testing.T) {
	const bearer, word = "bearer-token-of-the-test-0123456789", "admin-token-of-the-test-0123456789"
	t.Setenv("APPROOVGATE_TEST_BEARER", bearer)
	t.Setenv("APPROOVGATE_TEST_ADMIN", word)
	sets := newKeySets(t)
	policy := fmt.Sprintf(`{"keys": [{"name": "account", "alg": "HS256", "secret": "file:account.secret"}, {"name": "old", "alg": "HS256", "secret": "inline:%s"},
		{"name": "set", "jwks": %q, "algs": ["ES256"], "ca": %q}, {"name": "lost", "jwks": %q, "algs": ["ES256"], "ca": %q}],
		"control": {"file": "state/control.json"}}`, otherSecret, sets.URL+"/good?key=query-of-the-test", sets.ca, "https://127.0.0.1:1/?key=query-of-the-test", sets.ca)
	d := newDesk(t, policy, func(a *Admin) { a.Token = NewToken("env:APPROOVGATE_TEST_ADMIN") })
	d.own.Poll(t.Context())
	authorized := "Authorization: Bearer " + word
	var said strings.Builder
	for _, text := range []string{"{", `{"mode": "` + bearer + `"}`, `{"mode": "log", "for": "1m"}`, `{}`} {
		said.WriteString(d.ask("PUT", "/control", text, authorized).text)
	}
	said.WriteString(d.ask("PUT", "/control", `{}`, "Authorization: Bearer x"+word).text)
	for _, path := range []string{"/control", "/status", "/report", "/x"} {
		said.WriteString(d.ask("GET", path, "", authorized).text)
	}
	if got := said.String(); !strings.Contains(got, `"kid": "one"`) || !strings.Contains(got, "no answer") {
		t.Errorf("got %s, want a key of the set, and a source that fails", got)
	}
	d.log.mu.Lock()
	defer d.log.mu.Unlock()
	said.WriteString(d.log.text.String() + fmt.Sprintf("%+v", d.Token))
	for what, encoded := range map[string]string{"the secret": secretText, "the other secret": otherSecret} {
		secret, err := base64.StdEncoding.DecodeString(encoded)
		do(t, err)
		for _, form := range []string{encoded, base64.RawURLEncoding.EncodeToString(secret), string(secret), hex.EncodeToString(secret)} {
			if strings.Contains(said.String(), form) {
				t.Errorf("%s: got it in what was said, want it nowhere", what)
			}
		}
	}
	for _, secret := range []string{bearer, word, "query-of-the-test"} {
		if strings.Contains(said.String(), secret) {
			t.Errorf("got %s in\n%s\nwant it nowhere", secret, said.String())
		}
	}
}

func TestEveryChangeIsInTheLog(t *testing.T) {
	token := func(a *Admin) { a.Token = NewToken("env:APPROOVGATE_TEST_ADMIN") }
	t.Setenv("APPROOVGATE_TEST_ADMIN", "admin-token-of-the-test-0123456789")
	for _, row := range []struct {
		name, method, content string
		lines                 []string
		with                  []func(*Admin)
		want                  map[string]any // beside time and msg
	}{
		{"an override", "PUT", `{"mode": "bypass", "rollout": 5, "routes": {"transfers": "log", "feed": {"rollout": 7}}, "for": "1m", "by": "ops", "reason": "INC-42"}`, nil, nil,
			map[string]any{"level": "WARN", "what": "bypass, 5%, feed=7%, transfers=log, until 2030-01-31T12:01:00Z", "by": "ops", "reason": "INC-42", "status": 200.0, "version": 1.0}},
		{"resuming", "DELETE", `{"by": "ops"}`, nil, nil, map[string]any{"level": "WARN", "what": "resume", "by": "ops", "reason": "", "status": 200.0, "version": 1.0}},
		{"resuming with PUT", "PUT", `{}`, nil, nil, map[string]any{"level": "WARN", "what": "resume", "by": "", "reason": "", "status": 200.0, "version": 1.0}},
		{"what the policy does not allow", "PUT", `{"mode": "bypass", "by": "ops"}`, nil, nil,
			map[string]any{"level": "WARN", "what": "bypass", "by": "ops", "reason": "", "status": 400.0,
				"problem": "until: is missing; a mode or rollout looser than the policy's needs an end, such as 2030-01-31T12:00:00Z"}},
		{"what cannot be decoded", "PUT", `{"mode": "off", "by": "ops\u202e", "reason": "` + strings.Repeat("é", 300) + `"}`, nil, nil,
			map[string]any{"level": "WARN", "what": "override", "by": "ops\ufffd", "reason": strings.Repeat("é", 256) + "…", "status": 400.0,
				"problem": `mode: must be enforce or log or bypass, is "off"`}},
		{"what is no JSON", "PUT", `mode: off`, nil, nil,
			map[string]any{"level": "WARN", "what": "override", "by": "", "reason": "", "status": 400.0, "problem": "the document is not strict JSON: one object, no member twice"}},
		{"another version", "DELETE", ``, []string{`If-Match: "4"`}, nil,
			map[string]any{"level": "WARN", "what": "resume", "by": "", "reason": "", "status": 412.0, "problem": `If-Match: is not "0", the version that is there; read /control again`}},
		{"from a web page", "PUT", `{"by": "evil"}`, []string{"Origin: https://evil.example"}, nil,
			map[string]any{"level": "WARN", "what": "override", "by": "", "reason": "", "status": 403.0, "problem": "Origin: must not be there; web pages have no access"}},
		{"without token", "DELETE", ``, nil, []func(*Admin){token},
			map[string]any{"level": "WARN", "what": "resume", "by": "", "reason": "", "status": 401.0, "problem": "Authorization: must be Bearer and the token of admin_token"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := newDesk(t, adminPolicy, row.with...)
			d.ask(row.method, "/control", row.content, row.lines...)
			d.ask("GET", "/control", "")
			d.ask("PUT", "/status", "")
			d.ask("POST", "/control", "")
			lines := d.log.lines("control request")
			if len(lines) != 1 {
				t.Fatalf("got %d lines, want 1: %v", len(lines), lines)
			}
			delete(lines[0], "time")
			row.want["msg"], row.want["from"] = "control request", "192.0.2.1:1234"
			if !reflect.DeepEqual(lines[0], row.want) {
				t.Errorf("got\n%v\nwant\n%v", lines[0], row.want)
			}
		})
	}
}

func TestProblemsAsJSON(t *testing.T) {
	text, err := json.Marshal(problemsJSON([]config.Problem{{Path: "a", Text: "b", Warning: true}, {Text: "c"}}))
	if want := `[{"path":"a","text":"b","warning":true},{"path":"","text":"c"}]`; err != nil || string(text) != want {
		t.Errorf("got %s, %v, want %s", text, err, want)
	}
}
