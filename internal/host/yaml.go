package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/approovgate/approovgate/config"
)

// Bounds of a YAML document.
const (
	maxYAML      = 1 << 20 // bytes
	maxYAMLDepth = 32      // maps and lists inside each other
)

// ReadTree reads a YAML or JSON file (JSON is YAML) as a tree for package config. The tree is nil when
// config.Failed reports true for the problems. Problems do not name the file: the caller knows it.
func ReadTree(path string) (map[string]any, []config.Problem) {
	f, err := os.Open(path)
	if err != nil {
		return nil, yamlProblem(fmt.Sprintf("cannot be read: %v; check its path and permissions", cause(err)))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxYAML+1))
	if err != nil {
		return nil, yamlProblem(fmt.Sprintf("cannot be read: %v", cause(err)))
	}
	tree, problems := ParseTree(text)
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode()&0o002 != 0 {
		problems = append(problems, config.Problem{Warning: true,
			Text: "is world-writable, so anyone can open the gate; chmod 644 it"})
	}
	return tree, problems
}

// cause is an error of package os without the path, which the caller names.
func cause(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// ParseTree makes a tree from YAML text, with every scalar as the string that was written and null as nil, so
// that no YAML type rule changes a value: "kid: 0001" stays 0001. Refused are keys set twice, keys that are not
// strings, anchors, aliases, merge keys and type tags (a reader could not see what applies), several documents,
// and text over 1 MiB. Problems name the line.
func ParseTree(text []byte) (map[string]any, []config.Problem) {
	if len(text) > maxYAML {
		return nil, yamlProblem(fmt.Sprintf("the document has more than %d bytes", maxYAML))
	}
	if !utf8.Valid(text) {
		return nil, yamlProblem("the document is not valid UTF-8; save it as UTF-8")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		return nil, yamlProblem("the document is empty")
	}
	if err != nil {
		return nil, yamlProblem(syntaxText(err))
	}
	var w yamlWalk
	root := doc.Content[0]
	tree, ok := w.value("", root, 0).(map[string]any)
	if !ok && len(w.problems) == 0 {
		w.refuse("", root, "the document must be a map of keys and values")
	}
	var next yaml.Node
	if err := decoder.Decode(&next); err == nil {
		w.refuse("", &next, "a second document begins here; put it into a file of its own")
	} else if !errors.Is(err, io.EOF) {
		w.problems = append(w.problems, yamlProblem(syntaxText(err))...)
	}
	if len(w.problems) > 0 {
		return nil, w.problems
	}
	return tree, nil
}

// syntaxText is a parser's message without its prefix, and without the value it may repeat: an unquoted value
// that begins with * is read as an alias.
func syntaxText(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.HasPrefix(text, "unknown anchor") {
		return "a value begins with *, which YAML reads as an alias; put it in quotes"
	}
	return text
}

// yamlProblem is one problem of the whole document.
func yamlProblem(text string) []config.Problem { return []config.Problem{{Text: text}} }

// yamlWalk turns nodes into plain values and collects what is wrong with them.
type yamlWalk struct {
	problems []config.Problem
}

func (w *yamlWalk) refuse(path string, n *yaml.Node, text string) {
	w.problems = append(w.problems, config.Problem{Path: path, Text: "line " + strconv.Itoa(n.Line) + ": " + text})
}

// value returns a node as string, nil, []any or map[string]any.
func (w *yamlWalk) value(path string, n *yaml.Node, depth int) any {
	switch {
	case depth > maxYAMLDepth:
		w.refuse(path, n, fmt.Sprintf("is nested more than %d deep", maxYAMLDepth))
		return nil
	case n.Kind == yaml.AliasNode:
		w.refuse(path, n, "aliases (*name) are not supported; write the value out")
		return nil
	case n.Anchor != "":
		w.refuse(path, n, "anchors (&name) are not supported; write the value out where it is used")
		return nil
	case n.Style&yaml.TaggedStyle != 0:
		w.refuse(path, n, "type tags (!name) are not supported; delete the tag")
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		return w.mapping(path, n, depth)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, item := range n.Content {
			list = append(list, w.value(path+"["+strconv.Itoa(i)+"]", item, depth+1))
		}
		return list
	case yaml.ScalarNode:
		if n.ShortTag() == "!!null" {
			return nil
		}
		return n.Value
	}
	w.refuse(path, n, "is not a value, a list or a map")
	return nil
}

func (w *yamlWalk) mapping(path string, n *yaml.Node, depth int) any {
	out := make(map[string]any, len(n.Content)/2)
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind == yaml.AliasNode || key.Anchor != "" || key.ShortTag() == "!!merge":
			w.refuse(path, key, "anchors, aliases and merge keys (<<) are not supported; write the keys out")
			continue
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" || key.Style&yaml.TaggedStyle != 0:
			w.refuse(path, key, "has a key that is not a string; put it in quotes or delete it")
			continue
		}
		at := config.Join(path, key.Value)
		if first, twice := lines[key.Value]; twice {
			w.refuse(at, key, fmt.Sprintf("the key is set twice, first on line %d; delete one", first))
			continue
		}
		lines[key.Value] = key.Line
		out[key.Value] = w.value(at, value, depth+1)
	}
	return out
}
