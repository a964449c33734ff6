package gate_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/token"
)

// wantAbsent fails when text holds something that it must not.
func wantAbsent(t *testing.T, name, text string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if secret != "" && strings.Contains(text, secret) {
			t.Errorf("%s: got %q in %s, want it absent", name, secret, text)
		}
	}
}

// logged is the one line that a decision leaves in a JSON log, and its members.
func logged(t *testing.T, g *gate.Gate, r *http.Request) (string, map[string]any) {
	t.Helper()
	var out bytes.Buffer
	a := g.Ask(r)
	slog.New(slog.NewJSONHandler(&out, nil)).LogAttrs(context.Background(), slog.LevelInfo, "request", a.Attrs(r)...)
	line := strings.TrimSuffix(out.String(), "\n")
	var members map[string]any
	if err := json.Unmarshal([]byte(line), &members); err != nil || strings.ContainsAny(line, "\r\n\x1b") {
		t.Fatalf("got %q, want one line of JSON: %v", out.String(), err)
	}
	return line, members
}

func TestLogLinesSayWhatHappened(t *testing.T) {
	g := openGate(t, tree{"routes": []any{tree{"name": "pay", "paths": "/pay"}}})
	_, got := logged(t, g, genuine(t, "//pay?a=b"))
	for name, want := range map[string]any{
		"verdict": "pass", "reason": "ok", "action": "forward", "mode": "enforce", "route": "pay", "method": "GET", "host": "api.example.com",
		"path": "/pay", "client": "203.0.113.0/24", "key": "account", "arc": "ARC123",
	} {
		if got[name] != want {
			t.Errorf("%s: got %v, want %v", name, got[name], want)
		}
	}
	if _, has := got["status"]; has {
		t.Errorf("a forwarded request: got status %v, want none", got["status"])
	}
	_, got = logged(t, g, incoming("GET", "/pay"))
	if got["status"] != 401.0 || got["token_id"] != nil || got["key"] != nil {
		t.Errorf("a rejected request without token: got %v, want status 401, no token_id and no key", got)
	}
}

func TestLogLinesHoldNoSecrets(t *testing.T) {
	g := openGate(t, tree{"binding": tree{"from": []any{"header:Authorization", "cookie:session", "query:user"}}})
	bound := claims()
	bound["pay"] = token.Pay([]byte("BOUND-HEADERBOUND-COOKIEBOUND-QUERY"))
	for _, row := range []struct {
		name   string
		key    string
		target string
	}{
		{"a pass", "account", "/a?user=BOUND-QUERY"},
		{"a forged token", "nobody", "/a?user=BOUND-QUERY"},
		{"a mismatch", "account", "/a?user=BOUND-QUERY2"},
		{"a refused target", "account", "/a\\b?user=BOUND-QUERY"},
		{"a refused absolute target with a password", "account", "http://BOUND-USER:BOUND-PASSWORD@api.example.com/a?user=BOUND-QUERY"},
		{"a refused opaque target with a password", "account", "http:BOUND-USER:BOUND-PASSWORD@api.example.com"},
		{"a refused absolute target without a path", "account", "http://BOUND-USER:BOUND-PASSWORD@api.example.com?user=@BOUND-QUERY"},
	} {
		compact := sign(t, row.key, bound)
		r := incoming("GET", "/", "Approov-Token", compact, "Authorization", "BOUND-HEADER", "Cookie", "session=BOUND-COOKIE")
		r.RequestURI = row.target
		line, _ := logged(t, g, r)
		parts := strings.Split(compact, ".")
		secret := testKey("account")
		wantAbsent(t, row.name, line, "BOUND-", compact, parts[1], parts[2], parts[2][:7], device, string(secret), base64.StdEncoding.EncodeToString(secret),
			fmt.Sprintf("%x", secret), bound["pay"].(string), "203.0.113.7")
	}
}

func TestLogLinesSurviveControlCharacters(t *testing.T) {
	g := openGate(t, nil)
	nasty := "a\r\n{\"level\":\"INFO\"}\x1b[31m\x00\u2028\"\xff"
	named := claims()
	named["iss"], named["arc"] = nasty, nasty
	named["anno"] = []any{nasty}
	r := incoming("GET", "/", "Approov-Token", sign(t, "account", named))
	logged(t, g, r)
	r.Method, r.Host, r.RequestURI, r.RemoteAddr = nasty, nasty, nasty, nasty
	r.Header["Approov-Token"] = []string{nasty}
	_, got := logged(t, g, r)
	if got["reason"] != "target_refused" || got["client"] != "" {
		t.Errorf("got %v, want a refused target and no client", got)
	}
	r.RequestURI = "/" + strings.Repeat("a", 9000)
	if line, _ := logged(t, g, r); len(line) > 2000 {
		t.Errorf("a long path: got a line of %d bytes, want it cut", len(line))
	}
}

func TestPrivacyOfDeviceAndAddress(t *testing.T) {
	d := newDesk(nil)
	g := d.open(t)
	_, hashed := logged(t, g, genuine(t, "/"))
	_, again := logged(t, g, genuine(t, "/other"))
	if hashed["device"] != again["device"] || len(fmt.Sprint(hashed["device"])) != 16 {
		t.Errorf("got devices %v and %v, want the same 16 characters on one day", hashed["device"], again["device"])
	}
	_, elsewhere := logged(t, newDesk(nil).open(t), genuine(t, "/"))
	if elsewhere["device"] == hashed["device"] {
		t.Errorf("another gate: got the same device %v, want another", elsewhere["device"])
	}
	late := claims()
	late["exp"] = noon.Add(48 * time.Hour).Unix()
	d.after(24 * time.Hour)
	if _, next := logged(t, g, incoming("GET", "/", "Approov-Token", sign(t, "account", late))); next["device"] == hashed["device"] {
		t.Errorf("the next day: got the same device %v, want another", next["device"])
	}
	for _, row := range []struct{ name, privacy, peer, want string }{
		{"an IPv4 address", "truncated", "203.0.113.7:1", "203.0.113.0/24"},
		{"an IPv6 address", "truncated", "[2001:db8:1:2:3:4:5:6]:1", "2001:db8:1::/48"},
		{"an IPv4 address in IPv6 clothes", "truncated", "[::ffff:203.0.113.7]:1", "203.0.113.0/24"},
		{"a zone", "truncated", "[fe80::1%eth0]:1", "fe80::/48"},
		{"no address", "truncated", "@", ""},
		{"raw", "raw", "203.0.113.7:1", "203.0.113.7"},
	} {
		g := openGate(t, tree{"privacy": tree{"ip": row.privacy, "device_id": "raw"}})
		r := genuine(t, "/")
		r.RemoteAddr = row.peer
		_, got := logged(t, g, r)
		if got["client"] != row.want || got["device"] != device {
			t.Errorf("%s: got client %v and device %v, want %q and the raw device", row.name, got["client"], got["device"], row.want)
		}
	}
}
