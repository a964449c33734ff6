package host

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/approovgate/approovgate/config"
)

func TestParseTreeKeepsScalarsAsWritten(t *testing.T) {
	got, problems := ParseTree([]byte(`# a comment
name: edge
kid: 0001
number: 1_000
hex: 0x2a
yes: no
when: 2030-01-31
quoted: "null"
nothing: ~
empty:
blank: ""
folded: >-
  one
  two
list: [a, {b: true}, []]
`))
	want := map[string]any{"name": "edge", "kid": "0001", "number": "1_000", "hex": "0x2a", "yes": "no", "when": "2030-01-31",
		"quoted": "null", "nothing": nil, "empty": nil, "blank": "", "folded": "one two",
		"list": []any{"a", map[string]any{"b": "true"}, []any{}}}
	if !reflect.DeepEqual(got, want) || problems != nil {
		t.Errorf("tree\n%q\nproblems %q\nwant\n%q\nand none", got, problems, want)
	}
}

func TestParseTreeReadsJSON(t *testing.T) {
	got, problems := ParseTree([]byte("{\"a\": {\"b\": [1, true, null, \"\\u0041\"]}}\n"))
	want := map[string]any{"a": map[string]any{"b": []any{"1", "true", nil, "A"}}}
	if !reflect.DeepEqual(got, want) || problems != nil {
		t.Errorf("tree %q, problems %q; want %q and none", got, problems, want)
	}
}

// Each row is a document that is refused, with the beginning of its first problem.
var refusedDocuments = []struct{ name, text, want string }{
	{"an empty document", "", "the document is empty"},
	{"a document of comments", "# nothing\n", "the document is empty"},
	{"null", "~\n", "line 1: the document must be a map"},
	{"a list", "- a\n", "line 1: the document must be a map"},
	{"a text", "a\n", "line 1: the document must be a map"},
	{"a tab as indentation", "a:\n\tb: c\n", "line 2: "},
	{"an unclosed list", "a: [b\n", "line "},
	{"a key set twice", "a: 1\nb: 2\na: 3\n", "a: line 3: the key is set twice, first on line 1"},
	{"a nested key set twice", "keys:\n- {name: x, name: y}\n", "keys[0].name: line 2: the key is set twice, first on line 2"},
	{"a key set twice in two spellings", "a: 1\n\"\\x61\": 2\n", "a: line 2: the key is set twice"},
	{"a number as key", "a:\n  1: x\n", "a: line 2: has a key that is not a string"},
	{"true as key", "true: x\n", "line 1: has a key that is not a string"},
	{"null as key", "~: x\n", "line 1: has a key that is not a string"},
	{"a list as key", "? [a]\n: x\n", "line 1: has a key that is not a string"},
	{"an anchor", "a: &x 1\n", "a: line 1: anchors (&name) are not supported"},
	{"an alias", "a: &x 1\nb: *x\n", "a: line 1: anchors"},
	{"an alias to nothing", "a: *x\n", "a value begins with *, which YAML reads as an alias"},
	{"an anchored key", "&x a: 1\n", "line 1: anchors, aliases and merge keys"},
	{"a merge key", "a: 1\n<<: {b: 2}\n", "line 2: anchors, aliases and merge keys"},
	{"an anchored document", "&x\na: 1\n", "line "},
	{"a type tag", "a: !!binary AAAA\n", "a: line 1: type tags"},
	{"a tag of its own", "a: !secret x\n", "a: line 1: type tags"},
	{"a second document", "a: 1\n---\nb: 2\n", "line 2: a second document begins here"},
	{"a second document that is broken", "a: 1\n---\nb: [\n", "line "},
	{"text that is not UTF-8", "a: \xff\n", "the document is not valid UTF-8"},
	{"text in UTF-16", "\xff\xfea\x00:\x00 \x001\x00", "the document is not valid UTF-8"},
	{"33 lists inside each other", "a: " + strings.Repeat("[", 33) + strings.Repeat("]", 33), "a" + strings.Repeat("[0]", 32) + ": line 1: is nested more than 32 deep"},
	{"a million lists inside each other", "a: " + strings.Repeat("[", 1<<20-3), "exceeded max depth"},
	{"a document one byte too large", "a: " + strings.Repeat("x", 1<<20-2), "the document has more than 1048576 bytes"},
}

func TestParseTreeRefuses(t *testing.T) {
	for _, row := range refusedDocuments {
		t.Run(row.name, func(t *testing.T) {
			got, problems := ParseTree([]byte(row.text))
			if got != nil || !config.Failed(problems) {
				t.Fatalf("tree %.80q, problems %q; want no tree and a problem", fmt.Sprint(got), problems)
			}
			if first := problems[0].String(); !strings.HasPrefix(first, row.want) {
				t.Errorf("problem %.200q, want it to begin with %q", first, row.want)
			}
		})
	}
}

func TestParseTreeReportsEveryProblem(t *testing.T) {
	_, problems := ParseTree([]byte("a: 1\na: 2\nb: {c: !x y, 1: z}\n"))
	want := []string{"a: line 2", "b.c: line 3", "b: line 3"}
	for i := range want {
		if len(problems) != len(want) || !strings.HasPrefix(problems[i].String(), want[i]) {
			t.Fatalf("problems %q, want ones that begin with %q", problems, want)
		}
	}
}

func TestParseTreeDoesNotRepeatValues(t *testing.T) {
	const secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"
	for _, text := range []string{"secret: *" + secret, "secret: &" + secret + " x", "secret: !" + secret + " x",
		"secret: '" + secret, "secret: " + secret + ": x", "secret: @" + secret, "secret:\n  - " + secret + "\n x", secret,
		"? [" + secret + "]\n: x\n", secret + ": 1\n" + secret + ": 2", "%" + secret + "\n---\n"} {
		_, problems := ParseTree([]byte(text))
		if !config.Failed(problems) {
			t.Errorf("%s: no problem, want one", text)
		}
		for _, p := range problems {
			if strings.Contains(p.String(), secret) {
				t.Errorf("%s: problem %s repeats it, want it unnamed", text, p)
			}
		}
	}
}

func TestReadTree(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, row := range []struct {
		name, path string
		tree       bool
		want       string
	}{
		{"a file", file("a.yaml", "a: 1\n", 0o644), true, "[]"},
		{"a JSON file", file("a.json", `{"a": 1}`, 0o600), true, "[]"},
		{"a file anyone may write", file("b.yaml", "a: 1\n", 0o666), true, "[is world-writable"},
		{"a file too large", file("c.yaml", strings.Repeat("#", 1<<20+1), 0o600), false, "[the document has more than"},
		{"a file that is not there", filepath.Join(dir, "gone"), false, "[cannot be read: no such file"},
		{"a folder", dir, false, "[cannot be read: is a directory"},
	} {
		t.Run(row.name, func(t *testing.T) {
			tree, problems := ReadTree(row.path)
			if (tree != nil) != row.tree || config.Failed(problems) == row.tree {
				t.Errorf("tree %v, problems %q; want a tree: %t", tree, problems, row.tree)
			}
			if got := fmt.Sprint(problems); !strings.HasPrefix(got, row.want) {
				t.Errorf("problems %s, want them to begin with %s", got, row.want)
			}
		})
	}
}

// FuzzYAML parses documents. Oracle: what is accepted, yaml.Unmarshal accepts too, and finds the same keys,
// nulls and texts.
func FuzzYAML(f *testing.F) {
	f.Add("a: 1\nb: [x, {c: ~}]\n")
	f.Add("{\"a\": {\"b\": [1, true, null]}}\n")
	for _, row := range refusedDocuments {
		if len(row.text) < 1000 {
			f.Add(row.text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		tree, problems := ParseTree([]byte(text))
		if config.Failed(problems) {
			if tree != nil {
				t.Errorf("tree %q beside problems %q, want none", tree, problems)
			}
			return
		}
		var other any
		if err := yaml.Unmarshal([]byte(text), &other); err != nil {
			t.Fatalf("accepted %q, yaml.Unmarshal: %v", text, err)
		}
		if diff := differ("", tree, other); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	})
}

// differ compares a tree with what yaml.Unmarshal made of the same text, where scalars have types.
func differ(path string, got, want any) string {
	switch g := got.(type) {
	case map[string]any:
		w, ok := want.(map[string]any)
		if !ok || len(w) != len(g) {
			return fmt.Sprintf("%s: map of %d keys, want %v", path, len(g), want)
		}
		for k := range g {
			if _, ok := w[k]; !ok {
				return fmt.Sprintf("%s: key %q, want %v", path, k, want)
			}
			if diff := differ(path+"."+k, g[k], w[k]); diff != "" {
				return diff
			}
		}
	case []any:
		w, ok := want.([]any)
		if !ok || len(w) != len(g) {
			return fmt.Sprintf("%s: list of %d, want %v", path, len(g), want)
		}
		for i := range g {
			if diff := differ(path+"[]", g[i], w[i]); diff != "" {
				return diff
			}
		}
	case string:
		if w, ok := want.(string); want == nil || ok && w != g {
			return fmt.Sprintf("%s: text %q, want %v", path, g, want)
		}
	case nil:
		if want != nil {
			return fmt.Sprintf("%s: null, want %v", path, want)
		}
	}
	return ""
}
