package conformance_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/internal/conformance"
)

const sample = `name: expired token is denied
about: T21, R113
now: 2027-01-15T08:00:00Z
verdict: fail
action: reject
reason: token_expired
status: 401
--- policy
{"keys": []}
--- request
POST /v1/x HTTP/1.1
Host: api.example.com
X: a\x00b\\c\r\n\td

line one
line two\x0d
`

func TestParse(t *testing.T) {
	c, err := conformance.Parse(sample)
	if err != nil {
		t.Fatal(err)
	}
	if want := "POST /v1/x HTTP/1.1\r\nHost: api.example.com\r\nX: a\x00b\\c\r\n\td\r\n\r\nline one\nline two\r"; c.Request != want {
		t.Errorf("request: got %q, want %q", c.Request, want)
	}
	if want := []string{"T21", "R113"}; !reflect.DeepEqual(c.About, want) {
		t.Errorf("about: got %q, want %q", c.About, want)
	}
	if want := (conformance.Want{Verdict: "fail", Action: "reject", Reason: "token_expired", Status: 401}); !reflect.DeepEqual(c.Want, want) {
		t.Errorf("want: got %+v, want %+v", c.Want, want)
	}
	if c.Policy != `{"keys": []}` {
		t.Errorf("policy: got %q", c.Policy)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, row := range []struct{ name, from, to string }{
		{"unknown key", "verdict: fail", "verdikt: fail"},
		{"key given twice", "verdict: fail", "verdict: fail\nverdict: fail"},
		{"empty value", "verdict: fail", "verdict: "},
		{"space behind a value", "verdict: fail", "verdict: fail "},
		{"no name", "name: expired token is denied\n", ""},
		{"no about", "about: T21, R113\n", ""},
		{"no now", "now: 2027-01-15T08:00:00Z\n", ""},
		{"now that is no time", "2027-01-15T08:00:00Z", "2027-01-15"},
		{"about with an empty item", "T21, R113", "T21, , R113"},
		{"unknown verdict", "verdict: fail", "verdict: failed"},
		{"no reason", "reason: token_expired\n", ""},
		{"forward that is no 200", "action: reject", "action: forward"},
		{"reject that forwards", "status: 401", "status: 401\nforwarded-target: /"},
		{"status that is no number", "status: 401", "status: 4xx"},
		{"refused by nobody known", "verdict: fail", "refused-by: proxy"},
		{"policy refusal with a verdict", "verdict: fail", "verdict: fail\nrefused-by: policy\nproblem: keys"},
		{"host refusal with a verdict", "verdict: fail", "verdict: fail\nrefused-by: host"},
		{"sizes but all", "verdict: fail", "verdict: fail\nsizes: 99"},
		{"forwarded header without a value", "verdict: fail", "verdict: fail\nforwarded-headers: X-A"},
		{"no policy", "--- policy\n", ""},
		{"policy that is not JSON", `{"keys": []}`, `{"keys": [}`},
		{"no request", "--- request\n", ""},
		{"request without an empty line", "\n\nline one", "\nline one"},
		{"unknown escape", `\x00`, `\q`},
		{"short escape", `\x00b`, `\x0`},
		{"escape at the end", `\x0d`, `\`},
		{"no line end at the end", "\\x0d\n", `\x0d`},
	} {
		text := strings.Replace(sample, row.from, row.to, 1)
		if text == sample {
			t.Fatalf("%s: the sample has no %q", row.name, row.from)
		}
		if c, err := conformance.Parse(text); err == nil {
			t.Errorf("%s: got %+v, want an error", row.name, c)
		}
	}
}

func TestLoadRefusesTwoCasesOfOneName(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.txt", "b.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(sample), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conformance.Load(dir); err == nil || !strings.Contains(err.Error(), "b.txt") {
		t.Errorf("got %v, want an error that names b.txt", err)
	}
}

func TestLoadRefusesAnEmptyFolder(t *testing.T) {
	if cases, err := conformance.Load(t.TempDir()); err == nil {
		t.Errorf("got %d cases, want an error", len(cases))
	}
}

func TestPaddedPolicyHasTheNumbersAskedFor(t *testing.T) {
	c := conformance.Case{Policy: `{"keys": [], "routes": [{"name": "a", "hosts": ["a.example.com"]}]}`, PadRoutes: 99, PadHosts: 101}
	policy, err := c.PaddedPolicy()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(policy, `"name"`); got != 99 {
		t.Errorf("routes: got %d, want 99", got)
	}
	const host = `.example.net"` // of a padding route, one in each of 49; the rest stand before the route's own host
	if got := strings.Count(policy, host) - 49; got != 100 {
		t.Errorf("padding hosts: got %d, want 100", got)
	}
	if !strings.Contains(policy, `{"hosts":["pad-1.example.net",`) || !strings.Contains(policy, `"a.example.com"],"name":"a"}]}`) {
		t.Errorf("got %.200s…, want padding hosts before the route's own, and the route last", policy)
	}
}

// FuzzParse holds that every file that parses is written and read again without loss, and never panics.
func FuzzParse(f *testing.F) {
	f.Add(sample)
	for i, c := range load(f) {
		if i%20 == 0 && len(c.Request) < 2000 {
			f.Add(conformance.Format(c))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := conformance.Parse(text)
		if err != nil {
			return
		}
		written := conformance.Format(c)
		again, err := conformance.Parse(written)
		if err != nil {
			t.Fatalf("got %v for what Format wrote:\n%s", err, written)
		}
		if !again.Now.Equal(c.Now) {
			t.Errorf("now: got %v, want %v", again.Now, c.Now)
		}
		again.Now = c.Now
		if !reflect.DeepEqual(again, c) {
			t.Errorf("got %+v, want %+v", again, c)
		}
	})
}
