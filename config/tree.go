package config

import (
	"sort"
	"strconv"
	"strings"
)

// Tree reads one map of a document strictly. Its getters take a key and a default, return a usable value in
// every case, and note what is wrong; Problems reports all of it, and every key no getter asked for. Keys are
// matched case-exactly. A getter for every key a document may have must therefore run in every case, not only
// where its value is needed.
//
// Scalars may be strings throughout ("true", "8192", "5s"), because Traefik's labels and YAML have only those.
// The opposite is refused: a number where a string is expected has already lost its leading zeros.
type Tree struct {
	path   string         // of the map in its document; empty: the document itself
	values map[string]any // nil: absent, or of the wrong type, which is then noted
	known  map[string]bool
	report *report
}

// report is shared by all trees of one document.
type report struct {
	problems []Problem
	trees    []*Tree
}

// NewTree returns the reader of a whole document.
func NewTree(values map[string]any) *Tree {
	return newTree("", values, &report{})
}

func newTree(path string, values map[string]any, r *report) *Tree {
	t := &Tree{path: path, values: values, known: map[string]bool{}, report: r}
	r.trees = append(r.trees, t)
	return t
}

// Has reports whether the document sets key, if only to an empty value, and makes key a known one.
func (t *Tree) Has(key string) bool {
	t.known[key] = true
	_, ok := t.values[key]
	return ok
}

// Keys returns all keys of the tree in order, for maps whose keys are names rather than fields.
func (t *Tree) Keys() []string {
	keys := make([]string, 0, len(t.values))
	for k := range t.values {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// Path is the full path of a field of t, such as "keys[1].secret"; of t itself when field is empty.
func (t *Tree) Path(field string) string {
	if field == "" {
		return t.path
	}
	return Join(t.path, field)
}

// Join is the path of a field below another one. A field whose name could be misread is quoted.
func Join(path, field string) string {
	if !plain(field) {
		return path + "[" + strconv.Quote(shortened(field)) + "]"
	}
	if path == "" {
		return field
	}
	return path + "." + field
}

// Refuse notes an error at a field of t, or at t itself when field is empty. The text says what is wrong and
// what to do about it.
func (t *Tree) Refuse(field, text string) {
	t.report.problems = append(t.report.problems, Problem{Path: t.Path(field), Text: text})
}

// Warn notes something that does not keep the document from being used.
func (t *Tree) Warn(field, text string) {
	t.report.problems = append(t.report.problems, Problem{Path: t.Path(field), Text: text, Warning: true})
}

// Problems returns everything wrong with the whole document t belongs to, ordered by path. Call it after the
// last getter: a key that no getter has asked for is an unknown key.
func (t *Tree) Problems() []Problem {
	all := append([]Problem(nil), t.report.problems...)
	for _, sub := range t.report.trees {
		all = append(all, sub.unknown()...)
	}
	sort.SliceStable(all, func(i, j int) bool {
		if all[i].Path != all[j].Path {
			return pathBefore(all[i].Path, all[j].Path)
		}
		return all[i].Text < all[j].Text
	})
	return all
}

// unknown lists the keys of t that nothing asked for.
func (t *Tree) unknown() []Problem {
	var out []Problem
	for _, key := range t.Keys() {
		if t.known[key] {
			continue
		}
		names := make([]string, 0, len(t.known))
		for name := range t.known {
			names = append(names, name)
		}
		sort.Strings(names)
		text := "unknown key"
		if near := nearest(key, names); near != "" {
			text += "; did you mean " + near + "?"
		} else if len(names) > 0 {
			text += "; delete it, or use one of " + strings.Join(names, ", ")
		}
		out = append(out, Problem{Path: t.Path(key), Text: text})
	}
	return out
}

// plain reports whether a field can stand in a path as it is.
func plain(field string) bool {
	if field == "" || len(field) > nameShown {
		return false
	}
	for i := 0; i < len(field); i++ {
		c := field[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("_-.[]", rune(c)) {
			return false
		}
	}
	return true
}

// nameShown is the longest name of the document that a problem repeats, in bytes. A secret has at least 32, so
// one that stands in the wrong place is not printed.
const nameShown = 31

// shortened is a name of the document, or its length when it is too long to be a name.
func shortened(name string) string {
	if len(name) > nameShown {
		return strconv.Itoa(len(name)) + " bytes"
	}
	return name
}

// pathBefore orders paths, the numbers in them by value: keys[2] comes before keys[10].
func pathBefore(a, b string) bool {
	for a != "" && b != "" {
		da, db := digits(a), digits(b)
		if da > 0 && db > 0 {
			na, nb := strings.TrimLeft(a[:da], "0"), strings.TrimLeft(b[:db], "0")
			if len(na) != len(nb) {
				return len(na) < len(nb)
			}
			if na != nb {
				return na < nb
			}
			a, b = a[da:], b[db:]
			continue
		}
		if a[0] != b[0] {
			return a[0] < b[0]
		}
		a, b = a[1:], b[1:]
	}
	return len(a) < len(b)
}

// digits is how many bytes of decimal digits s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
