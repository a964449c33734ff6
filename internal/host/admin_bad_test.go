package host

import (
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/gate"
)

func TestBadChanges(t *testing.T) {
	d := newDesk(t, adminPolicy)
	long := func(n int) string { // a document of n bytes
		const frame = `{"x": ""}`
		return `{"x": "` + strings.Repeat("x", n-len(frame)) + `"}`
	}
	for _, row := range []struct {
		name, content string
		status        int
		problem       string // its beginning
		lines         []string
	}{
		{"no content", "", 400, ": the document is not strict JSON", []string{"Content-Type: application/json"}},
		{"no JSON", `mode: bypass`, 400, ": the document is not strict JSON", nil},
		{"a list", `[]`, 400, ": the document is not strict JSON", nil},
		{"a text", `"bypass"`, 400, ": the document is not strict JSON", nil},
		{"null", `null`, 400, ": the document is not strict JSON", nil},
		{"half a document", `{"mode": "bypass"`, 400, ": the document is not strict JSON", nil},
		{"two documents", `{"mode": "log", "for": "1m"} {}`, 400, ": the document is not strict JSON", nil},
		{"a document and more", `{"mode": "log", "for": "1m"},`, 400, ": the document is not strict JSON", nil},
		{"a member twice", `{"mode": "log", "mode": "bypass", "for": "1m"}`, 400, ": the document is not strict JSON", nil},
		{"a member twice in two spellings", `{"mode": "log", "\u006dode": "bypass", "for": "1m"}`, 400, ": the document is not strict JSON", nil},
		{"a route twice", `{"routes": {"feed": "log", "feed": "enforce"}}`, 400, ": the document is not strict JSON", nil},
		{"text that is not UTF-8", "{\"mode\": \"log\xff\"}", 400, ": the document is not strict JSON", nil},
		{"a byte order mark", "\ufeff{}", 400, ": the document is not strict JSON", nil},
		{"nesting without end", strings.Repeat(`{"a":`, 10000), 400, ": the document is not strict JSON", nil},
		{"a comment", `{} // resume`, 400, ": the document is not strict JSON", nil},

		{"the largest document", long(64 << 10), 400, "x: unknown key", nil},
		{"one byte more", long(64<<10 + 1), 413, ": the document has more than 64 KiB", nil},
		{"one byte more, in chunks", long(64<<10 + 1), 413, ": the document has more than 64 KiB", []string{"Transfer-Encoding: chunked"}},

		{"a form", `{}`, 415, "Content-Type: must be application/json", []string{"Content-Type:", "Content-Type: application/x-www-form-urlencoded"}},
		{"a text that is JSON", `{}`, 415, "Content-Type: must be application/json", []string{"Content-Type:", "Content-Type: text/plain"}},
		{"no type", `{}`, 415, "Content-Type: must be application/json", []string{"Content-Type:"}},
		{"a type that cannot be read", `{}`, 415, "Content-Type: must be application/json", []string{"Content-Type:", "Content-Type: application/json; ="}},
		{"another charset", `{}`, 415, "Content-Type: must be application/json", []string{"Content-Type:", "Content-Type: application/json; charset=latin1"}},
		{"compressed content", `{}`, 415, "Content-Encoding: must not be there", []string{"Content-Encoding: gzip"}},

		{"a mode nobody knows", `{"mode": "off", "for": "1m"}`, 400, "mode: must be enforce or log or bypass", nil},
		{"a mode that is a number", `{"mode": 1}`, 400, "mode: must be enforce or log or bypass", nil},
		{"a mode of null", `{"mode": null}`, 400, "mode: has no value", nil},
		{"a rollout of 101", `{"rollout": 101, "for": "1m"}`, 400, "rollout: must be from 0 to 100, is 101", nil},
		{"a rollout of a half", `{"rollout": 0.5, "for": "1m"}`, 400, "rollout: must be a whole number", nil},
		{"an unknown key", `{"mod": "log"}`, 400, "mod: unknown key; did you mean mode?", nil},
		{"an unknown route", `{"routes": {"transfer": "log"}, "for": "1m"}`, 400, "routes.transfer: the policy has no route of this name; did you mean transfers?", nil},
		{"routes as a list", `{"routes": ["transfers"]}`, 400, "routes: must be a map", nil},
		{"a version", `{"version": 7, "mode": "enforce"}`, 400, "version: is the gate's to give", nil},
		{"a looser mode without end", `{"mode": "bypass"}`, 400, "until: is missing; a mode or rollout looser than the policy's needs an end", nil},
		{"a looser rollout without end", `{"rollout": 50}`, 400, "until: is missing", nil},
		{"a looser route without end", `{"routes": {"transfers": "log"}}`, 400, "until: is missing", nil},
		{"for and until", `{"mode": "log", "for": "1m", "until": "2030-01-31T13:00:00Z"}`, 400, "for: stands beside until", nil},
		{"for above nothing", `{"for": "1m"}`, 400, "for: there is nothing that could end", nil},
		{"for nothing", `{"mode": "log", "for": ""}`, 400, "for: must be a duration", nil},
		{"for zero", `{"mode": "log", "for": "0s"}`, 400, "for: must be from 1s to 24h0m0s, is 0s", nil},
		{"for less than nothing", `{"mode": "log", "for": "-1m"}`, 400, "for: must be from 1s", nil},
		{"for a week", `{"mode": "log", "for": "168h"}`, 400, "for: must be from 1s to 24h0m0s", nil},
		{"an end that is no time", `{"mode": "log", "until": "tomorrow"}`, 400, "until: must be an RFC 3339 time", nil},
		{"a reason of two lines", `{"mode": "log", "for": "1m", "reason": "a\nb"}`, 400, "reason: must be one line", nil},
		{"a reason too long", `{"mode": "log", "for": "1m", "reason": "` + strings.Repeat("x", 501) + `"}`, 400, "reason: must be one line of at most 500 bytes", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			lines, chunked := row.lines, false
			if i := slices.Index(lines, "Transfer-Encoding: chunked"); i >= 0 {
				lines, chunked = nil, true
			}
			r := httptest.NewRequest("PUT", "/control", strings.NewReader(row.content))
			r.Host = "approovgate"
			r.Header.Set("Content-Type", "application/json")
			if chunked {
				r.ContentLength = -1
			}
			for _, line := range lines {
				if name, value, _ := strings.Cut(line, ":"); value == "" {
					r.Header.Del(name)
				} else {
					r.Header.Set(name, strings.TrimSpace(value))
				}
			}
			if a := d.serve(r); a.status != row.status || !strings.HasPrefix(a.problem(), row.problem) {
				t.Errorf("got %d %s, want %d and a problem that begins with %q", a.status, a.text, row.status, row.problem)
			}
		})
	}
	for _, row := range []struct{ content, problem string }{
		{`{"mode": "bypass"}`, "mode: does not belong into a DELETE"}, {`{"for": "1m", "reason": "a"}`, "for: does not belong into a DELETE"},
		{`{"raeson": "a"}`, "raeson: does not belong into a DELETE"}, {`{"reason": 5, "by": []}`, "by: must be a string"}, {`x`, ": the document is not strict JSON"},
	} {
		if a := d.ask("DELETE", "/control", row.content); a.status != 400 || !strings.HasPrefix(a.problem(), row.problem) {
			t.Errorf("DELETE %s: got %d %s, want 400 and %q", row.content, a.status, a.text, row.problem)
		}
	}
	a := d.ask("PUT", "/control", `{"mod": "log", "rollout": -1, "for": "x", "reason": "a\u0000"}`)
	if len(a.body.Problems) != 4 {
		t.Errorf("four problems: got %v, want them all", a.body.Problems)
	}
	if c := d.Gate.Control(gate.Local); c.Version != 0 {
		t.Errorf("after all: got %+v, want no control", c)
	}
	if _, err := os.Stat(d.file); err == nil {
		t.Error("after all: got a control file, want none")
	}
}

// A body that breaks off changes nothing, however much of it is there.
func TestContentThatBreaksOff(t *testing.T) {
	d := newDesk(t, adminPolicy)
	for _, row := range []struct {
		name   string
		err    error
		status int
	}{{"a connection that is gone", io.ErrUnexpectedEOF, 400}, {"a client that has stopped", fmt.Errorf("read: %w", os.ErrDeadlineExceeded), 408}} {
		r := httptest.NewRequest("PUT", "/control", io.MultiReader(strings.NewReader(`{"mode": "bypass", "for": "1m"}`), broken{row.err}))
		r.Host = "localhost"
		r.Header.Set("Content-Type", "application/json")
		if a := d.serve(r); a.status != row.status || d.Gate.Control(gate.Local).Version != 0 {
			t.Errorf("%s: got %d %s, want %d and no change", row.name, a.status, a.text, row.status)
		}
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }
