package proxy

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/config"
)

func TestDecodeConfig(t *testing.T) {
	policy := map[string]any{"keys": keysOfTest()}
	good := func(changes map[string]any) map[string]any {
		tree := map[string]any{"listen": "127.0.0.1:8080", "upstream": "http://127.0.0.1:9000", "policy": policy}
		for key, value := range changes {
			tree[key] = value
			if value == nil {
				delete(tree, key)
			}
		}
		return tree
	}
	for _, row := range []struct {
		name string
		tree map[string]any
		want []string // paths of all errors; none: it is accepted
	}{
		{"the shortest file", good(nil), nil},
		{"several addresses", good(map[string]any{"listen": []any{":8080", "[::1]:8081"}}), nil},
		{"an https upstream", good(map[string]any{"upstream": "https://api.example.com"}), nil},
		{"an upstream with the path /", good(map[string]any{"upstream": "http://127.0.0.1:9000/"}), nil},
		{"everything missing", map[string]any{}, []string{"listen", "policy", "upstream"}},
		{"an empty list of addresses", good(map[string]any{"listen": []any{}}), []string{"listen"}},
		{"an address without a port", good(map[string]any{"listen": []any{"127.0.0.1"}}), []string{"listen[0]"}},
		{"an address with a port that is no number", good(map[string]any{"listen": "127.0.0.1:http"}), []string{"listen[0]"}},
		{"an address with a port too high", good(map[string]any{"listen": "127.0.0.1:65536"}), []string{"listen[0]"}},
		{"an address that is a URL with a path", good(map[string]any{"listen": "http://127.0.0.1:80/x"}), []string{"listen[0]"}},
		{"an address twice", good(map[string]any{"listen": []any{":1", ":1"}}), []string{"listen[1]"}},
		{"an address of the wrong type", good(map[string]any{"listen": map[string]any{}}), []string{"listen"}},
		{"a status address that is a listen address", good(map[string]any{"status": "127.0.0.1:8080"}), []string{"status"}},
		{"a status address without a port", good(map[string]any{"status": "127.0.0.1"}), []string{"status"}},
		{"an upstream that is the gate", good(map[string]any{"upstream": "http://127.0.0.1:8080"}), []string{"upstream"}},
		{"an upstream of another scheme", good(map[string]any{"upstream": "ftp://127.0.0.1"}), []string{"upstream"}},
		{"an upstream without a scheme", good(map[string]any{"upstream": "127.0.0.1:9000"}), []string{"upstream"}},
		{"an upstream without a host", good(map[string]any{"upstream": "http://:9000"}), []string{"upstream"}},
		{"an upstream with a path", good(map[string]any{"upstream": "http://127.0.0.1/api"}), []string{"upstream"}},
		{"an upstream with a password", good(map[string]any{"upstream": "http://u:p@127.0.0.1"}), []string{"upstream"}},
		{"an upstream with a query", good(map[string]any{"upstream": "http://127.0.0.1/?x"}), []string{"upstream"}},
		{"an upstream of the wrong type", good(map[string]any{"upstream": 9000}), []string{"upstream"}},
		{"a log level nobody knows", good(map[string]any{"log": map[string]any{"level": "loud"}}), []string{"log.level"}},
		{"a log format nobody knows", good(map[string]any{"log": map[string]any{"format": "xml"}}), []string{"log.format"}},
		{"policy and policy_file", good(map[string]any{"policy_file": "x.yaml"}), []string{"policy_file"}},
		{"an empty policy_file", good(map[string]any{"policy": nil, "policy_file": ""}), []string{"policy_file"}},
		{"a policy of the wrong type", good(map[string]any{"policy": "x"}), []string{"policy"}},
		{"an unknown key", good(map[string]any{"upstreams": "x"}), []string{"upstreams"}},
		{"an empty section tls", good(map[string]any{"tls": map[string]any{}}), []string{"tls"}},
		{"a problem inside the policy", good(map[string]any{"policy": map[string]any{"keys": keysOfTest(), "mode": "open"}}), []string{"policy.mode"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, problems := DecodeConfig(row.tree)
			var got []string
			for _, p := range problems {
				if !p.Warning {
					got = append(got, p.Path)
				}
			}
			if !slices.Equal(got, row.want) && !(row.name == "a policy of the wrong type" && slices.Contains(got, "policy")) {
				t.Errorf("got problems at %q, want at %q: %v", got, row.want, problems)
			}
		})
	}
}

func TestReadConfigReportsBothFilesAtOnce(t *testing.T) {
	dir := t.TempDir()
	gate, policy := filepath.Join(dir, "gate.yaml"), filepath.Join(dir, "sub", "policy.json")
	if err := os.Mkdir(filepath.Dir(policy), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, gate, "listen: nowhere\nupstream: http://127.0.0.1:1\nlog: {level: warn, format: text}\npolicy_file: sub/policy.json\n")
	write(t, policy, `{"mod": "log", "keys": [{"name": "a", "alg": "HS256", "secret": "file:a.secret"}]}`)
	write(t, filepath.Join(dir, "sub", "a.secret"), "c2hvcnQ=")
	p := &Proxy{File: gate}
	problems := p.Load()
	var got []string
	for _, problem := range problems {
		got = append(got, problem.Path)
	}
	want := []string{gate + ": listen[0]", policy + ": mod", policy + ": keys[0].secret"}
	if !slices.Equal(got, want) {
		t.Errorf("got problems at %q, want at %q", got, want)
	}
	if c := p.Config(); c.Log != (Log{Level: slog.LevelWarn, Text: true, Sample: 100}) {
		t.Errorf("log: got %+v, want warnings as text", c.Log)
	}
}

func TestLoadRefusesWhatThisReleaseCannotDo(t *testing.T) {
	p := &Proxy{Tree: map[string]any{"listen": ":1", "upstream": "http://127.0.0.1:9", "policy": map[string]any{
		"keys": []any{
			map[string]any{"name": "set", "jwks": "https://keys.example.com/set", "algs": []any{"ES256"}},
			map[string]any{"name": "weak", "alg": "HS256", "secret": "inline:YWJj"},
		},
		"control": map[string]any{"file": "control.json"},
	}}}
	problems := p.Load()
	if !config.Failed(problems) {
		t.Fatalf("got %v, want errors", problems)
	}
	for path, text := range map[string]string{
		"policy.keys[0].jwks": "not part of this release", "policy.control": "not part of this release", "policy.keys[1].secret": "weak",
	} {
		if !slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Path == path && strings.Contains(p.Text, text) }) {
			t.Errorf("got %v, want one at %s with %q", problems, path, text)
		}
	}
}
