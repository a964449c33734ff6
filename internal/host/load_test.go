package host

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
)

// secretText is a test key in base64.
var secretText = base64.StdEncoding.EncodeToString([]byte("test key of package host, never used for anything else..........!"))

// loader feeds a gate from a tree; its secret files lie in dir.
func loader(tree map[string]any, dir string, noted ...config.Problem) *Loader {
	return &Loader{Read: func() (Document, []config.Problem) {
		sub := config.NewTree(map[string]any{"policy": tree})
		policy := config.DecodeFrom(sub.Sub("policy"))
		return Document{Policy: policy, Prefix: "gate.yaml: policy.", Dir: dir}, append(noted, qualify(sub.Problems())...)
	}}
}

func qualify(problems []config.Problem) []config.Problem {
	for i := range problems {
		problems[i].Path = "gate.yaml: " + problems[i].Path
	}
	return problems
}

func key(changes map[string]any) map[string]any {
	k := map[string]any{"name": "account", "alg": "HS256", "secret": "file:account.secret"}
	for name, value := range changes {
		k[name] = value
	}
	return k
}

func TestLoaderFindsSecretsBesideThePolicy(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "account.secret"), []byte(secretText), 0o600); err != nil {
		t.Fatal(err)
	}
	l := loader(map[string]any{"keys": []any{key(nil)}}, dir)
	g, problems := l.New(gate.Options{})
	if g == nil || len(problems) != 0 || !g.Ready() {
		t.Fatalf("got %v, %v, want a ready gate without problems", g, problems)
	}
	if got := len(l.Policy().Keys); got != 1 {
		t.Errorf("keys: got %d, want 1", got)
	}
	if err := os.Remove(filepath.Join(dir, "account.secret")); err != nil {
		t.Fatal(err)
	}
	problems = l.Refresh(g)
	if len(problems) != 1 || problems[0].Path != "gate.yaml: policy.keys[0].secret" || !g.Ready() {
		t.Errorf("secret gone: got %v, ready %v, want one problem at the key, and the last good one in force", problems, g.Ready())
	}
}

func TestLoaderReportsEverythingAtOnce(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"weak": 0o600, "writable": 0o666} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("c2hvcnQ="), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name  string
		tree  map[string]any
		noted []config.Problem
		want  []string // paths below "gate.yaml: "
	}{
		{"an unknown key does not hide a missing secret", map[string]any{"mod": "log", "keys": []any{key(nil)}}, nil,
			[]string{"policy.mod", "policy.keys[0].secret"}},
		{"a problem elsewhere in the file does not hide weak and writable secrets",
			map[string]any{"keys": []any{key(map[string]any{"secret": "file:weak"}), key(map[string]any{"name": "b", "secret": "file:writable"})}},
			[]config.Problem{{Path: "gate.yaml: listen", Text: "is missing"}},
			[]string{"listen", "policy.keys[0].secret", "policy.keys[1].secret"}},
		{"a refused reference is reported once", map[string]any{"keys": []any{key(map[string]any{"secret": "account.secret"})}}, nil,
			[]string{"policy.keys[0].secret"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			g, problems := loader(row.tree, dir, row.noted...).New(gate.Options{})
			if g != nil {
				t.Error("gate: got one, want none")
			}
			var got []string
			for _, p := range problems {
				if !p.Warning {
					got = append(got, strings.TrimPrefix(p.Path, "gate.yaml: "))
				}
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("got problems at %q, want at %q: %v", got, row.want, problems)
			}
		})
	}
}
